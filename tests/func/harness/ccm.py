"""Messages as the clients of a management point write them (docs/PROTOCOL.md)."""
import itertools
import re
import zlib

BOUNDARY = "aAbBcCdDv1234567890VxXyYzZ"
RECEIVED_RULE = "SWMtr_Status_Received_MeterRule"
NUMBER_10907 = 0x40000000 | 10907
_serial = itertools.count(1)


def guid(n):
    return "%08X-4F89-41D3-9A0C-%012X" % (n & 0xffffffff, n)


def new_id():
    return "{%s}" % guid(next(_serial))


def utf16(text, bom=False):
    return (b"\xff\xfe" if bom else b"") + text.encode("utf-16-le")


def status(rule="ABC00001", kind=RECEIVED_RULE, number=NUMBER_10907, extra="", win32=None):
    props = '<Property Name="Attribute407">%s</Property>' % rule
    props += '<Property Name="DateTime">20070301101112.000000+000</Property>'
    if win32 is not None:
        props += '<Property Name="Win32ErrorCode">%s</Property>' % win32
    quals = ""
    if number is not None:
        quals += '<Qualifier Name="SMS_MessageID">%d</Qualifier>' % number
    quals += '<Qualifier Name="SMS_ModuleName">SMS Client</Qualifier>'
    return ('<Status SchemaVersion="1.0" CodePage="437" LocaleID="1033"><Type>%s</Type>'
            "<Properties>%s%s</Properties><Qualifiers>%s</Qualifiers></Status>"
            % (kind, props, extra, quals))


def envelope(ident, length, client, hooks='<Hook3 Name="zlib-compress"/>',
             endpoint="StatusReceiver", mode="Async"):
    return ('<Msg SchemaVersion="1.1" ReplyCompression="zlib"><ID>%s</ID>'
            "<SourceID>GUID:%s</SourceID><SourceHost>PC0001</SourceHost>"
            "<TargetAddress>mp:%s</TargetAddress><ReplyTo>direct:PC0001:StatusAgent</ReplyTo>"
            '<Priority>0</Priority><Body Type="ByteRange" Offset="0" Length="%d"/>'
            '<Hooks>%s</Hooks><Payload Type="inline"/><TargetEndpoint>%s</TargetEndpoint>'
            "<ReplyMode>%s</ReplyMode><Protocol>http</Protocol></Msg>"
            % (ident, guid(client), endpoint, length, hooks, endpoint, mode))


def body(env, payload, boundary=BOUNDARY):
    b = boundary.encode()
    return (b"--" + b + b"\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n" +
            utf16(env, bom=True) + b"\r\n--" + b +
            b"\r\ncontent-type: application/octet-stream\r\n\r\n" + payload + b"\r\n--" + b + b"--")


def request(content, path="/ccm_system/request", method="CCM_POST", extra=b"", boundary=BOUNDARY,
            chunked=False):
    head = ("%s %s HTTP/1.1\r\nHost: mp01.example.test\r\nUser-Agent: ccmhttp\r\n"
            'Content-Type: multipart/mixed; boundary="%s"\r\n' % (method, path, boundary)).encode()
    if chunked:
        return (head + b"Transfer-Encoding: chunked\r\n" + extra + b"\r\n" +
                b"%x\r\n" % len(content) + content + b"\r\n0\r\n\r\n")
    return head + b"Content-Length: %d\r\n" % len(content) + extra + b"\r\n" + content


class Message:
    """One status message: .raw is the whole request."""

    def __init__(self, client=1, rule="ABC00001", ident=None, xml=None, compress=True,
                 pack=zlib.compress, hooks=None, **kw):
        self.id = ident or new_id()
        self.client = client
        self.rule = rule
        payload = utf16(xml if xml is not None else status(rule)) + b"\0\0"
        length = len(payload)
        if hooks is None:
            hooks = '<Hook3 Name="zlib-compress"/>' if compress else ""
        packed = pack(payload) if compress else payload
        self.body = body(envelope(self.id, length, client, hooks, **{
            k: kw.pop(k) for k in ("endpoint", "mode") if k in kw}), packed)
        self.raw = request(self.body, **kw)


SUMMARY_MARK = utf16("statweir-10907-summary")


def summary_facts(content):
    """(client, window, part, parts, messages) of a summary's request body, or None."""
    if SUMMARY_MARK not in content:
        return None
    at = content.index(utf16("<Status"))
    text = content[at:content.rindex(b"\r\n--")].decode("utf-16-le").rstrip("\0")
    prop = dict(re.findall(r'<Property Name="([^"]+)">([^<]*)</Property>', text))
    window, part = prop["InsertionString1"].split(" ")
    k, n = part.split("/")
    return {"client": prop["Attribute408"], "window": window, "part": int(k), "parts": int(n),
            "messages": int(re.search(r"messages=(\d+)", prop["InsertionString2"]).group(1)),
            "properties": prop}


def message_id(content):
    m = re.search(utf16("<ID>") + b"((?:[^<].)*?)" + utf16("</ID>"), content, re.S)
    return m.group(1).decode("utf-16-le") if m else None
