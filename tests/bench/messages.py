"""Messages for the load generator, as Lua scripts for wrk."""
import zlib

SEEDS_EACH = 2000000  # IDs that one burst may use

# OpenResty's LuaJIT, which wrk and the Lua contender share, hashes of a string of 2 to 4 KB eight
# bytes in each 128, at one place in the even ones and one in the odd ones that it draws at the
# process's start. Unless something differs there, thousands of messages have one hash, and wrk
# spends half of its core on comparing them: 36,000 requests a second in one burst and 62,000 in
# the next. 128 bytes that differ all along, from the beginning of an even one, are always seen.
PAD_AT = 256
PADS = 4096

BOUNDARY = b"aAbBcCdDv1234567890VxXyYzZ"
STATUS = (
    '<Status SchemaVersion="1.0" CodePage="437" LocaleID="1033">'
    "<Type>%(type)s</Type><Properties>"
    '<Property Name="Attribute407">%(rule)s</Property>'
    '<Property Name="ClientID">GUID:11111111-2222-3333-4444-555555555555</Property>'
    '<Property Name="DateTime">20070301101112.000000+000</Property>'
    '<Property Name="MachineName">PC0001</Property><Property Name="ProcessID">1234</Property>'
    '<Property Name="SiteCode">ABC</Property><Property Name="ThreadID">4321</Property>'
    "</Properties><Qualifiers>"
    '<Qualifier Name="CCM_Provider">{2C7D3A10-0000-0000-0000-000000000001}</Qualifier>'
    '<Qualifier Name="SMS_Component">Software Metering Agent</Qualifier>'
    '<Qualifier Name="SMS_MessageID">%(number)d</Qualifier>'
    '<Qualifier Name="SMS_MessageType">256</Qualifier>'
    '<Qualifier Name="SMS_ModuleName">SMS Client</Qualifier>'
    '<Qualifier Name="SMS_PerClient">True</Qualifier></Qualifiers></Status>')
ENVELOPE = (
    '<Msg SchemaVersion="1.1" ReplyCompression="zlib"><ID>{\x01-4F89-41D3-9A0C-0305E82C3301}</ID>'
    "<SourceID>GUID:\x02-2222-3333-4444-555555555555</SourceID><SourceHost>PC0001</SourceHost>"
    "<TargetAddress>mp:%(endpoint)s</TargetAddress><ReplyTo>direct:PC0001:StatusAgent</ReplyTo>"
    "<CorrelationID>{00000000-0000-0000-0000-000000000000}</CorrelationID><Priority>0</Priority>"
    "<Timeout>360000</Timeout><SentTime>2007-03-01T10:11:12Z</SentTime>"
    '<Body Type="ByteRange" Offset="0" Length="%(length)d"/>'
    '<Hooks><Hook3 Name="zlib-compress"/></Hooks><Payload Type="inline"/>'
    "<TargetHost>mp01.example.test</TargetHost><TargetEndpoint>%(endpoint)s</TargetEndpoint>"
    "<ReplyMode>Async</ReplyMode><Protocol>http</Protocol></Msg>")


def lua_string(b):
    return '"' + "".join("\\%03d" % c for c in b) + '"'


def utf16(s):
    return s.encode("utf-16-le")


def message(rule, endpoint, kind, number):
    """The request's bytes before the ID, between ID and client, and behind, for one rule."""
    payload = utf16(STATUS % {"type": kind, "rule": rule, "number": number}) + b"\0\0"
    packed = zlib.compress(payload)
    env = ENVELOPE % {"endpoint": endpoint, "length": len(payload)}
    a, rest = env.split("\x01")
    b, c = rest.split("\x02")
    before = (b"--" + BOUNDARY + b"\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n\xff\xfe"
              + utf16(a))
    between = utf16(b)
    after = (utf16(c) + b"\r\n--" + BOUNDARY +
             b"\r\ncontent-type: application/octet-stream\r\n\r\n" + packed + b"\r\n--" +
             BOUNDARY + b"--")
    length = len(before) + 16 + len(between) + 16 + len(after)
    return before, between, after, length


def head(path, length):
    return (b"CCM_POST %s HTTP/1.1\r\nUser-Agent: ccmhttp\r\nHost: mp01.example.test\r\n"
            b'Content-Type: multipart/mixed; boundary="%s"\r\nContent-Length: %d\r\n'
            b"Connection: Keep-Alive\r\nX-Pad: " % (path, BOUNDARY, length)).ljust(PAD_AT, b"x")


# What wrk saw. CHECKED scripts look at every answer, which is too slow to measure with:
# WANT_BYTES is the length of the body that every answer must have, all of them 200.
DONE = """
done = function(summary, latency, requests)
  local bad, worst = 0, ""
  for _, t in ipairs(threads or {}) do
    bad = bad + (t:get("n_bad") or 0)
    worst = t:get("worst") or worst
  end
  io.write(string.format("\\nRESULT %d %d %d %d %d %d %d %d %d %s\\n", summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.errors.status, summary.bytes, bad, worst))
end
"""

CHECKED = """
threads = {}
setup = function(thread) table.insert(threads, thread) end
n_bad, worst = 0, ""
response = function(status, headers, body)
  if status ~= 200 or #body ~= WANT_BYTES then
    n_bad = n_bad + 1
    worst = status .. "/" .. #body
  end
end
"""


def checked(script, want_bytes):
    return script + CHECKED.replace("WANT_BYTES", str(want_bytes))


def seeded(script, seed):
    """Message IDs count from seed: no two runs against one proxy may share any."""
    return script.replace("SEED_BASE", str(seed))


def flood_script(path=b"/ccm_system/request", endpoint="StatusReceiver",
                 kind="SWMtr_Status_Received_MeterRule", number=1073752731, clients=500, rules=500,
                 are_known=False):
    """Every request has an ID of its own; clients and rules take turns. Digits are UTF-16.

    Each burst has clients of its own, for a client reports each rule once; unless they are_known
    from another burst.
    """
    parts = [message("ABC%05d" % r, endpoint, kind, number) for r in range(rules)]
    lines = ["local head, pre, mid, post = {}, {}, {}, {}"]
    for i, (a, b, c, n) in enumerate(parts, 1):
        lines.append("head[%d] = %s" % (i, lua_string(head(path, n))))
        lines.append("pre[%d] = %s" % (i, lua_string(b"\r\n\r\n" + a)))
        lines.append("mid[%d] = %s" % (i, lua_string(b)))
        lines.append("post[%d] = %s" % (i, lua_string(c)))
    lines.append("""
local hex = {}
for i = 0, 65535 do
  local s = string.format("%%04X", i)
  hex[i] = s:sub(1,1) .. "\\0" .. s:sub(2,2) .. "\\0" .. s:sub(3,3) .. "\\0" .. s:sub(4,4) .. "\\0"
end
local pad = {}
for i = 0, %d do pad[i] = string.format("%%03X.", i):rep(34) end
local n = SEED_BASE
local others = %s
local is_first = true
request = function()
  -- wrk checks the first request with a parser that knows no CCM_POST; it is not sent.
  if is_first then is_first = false; return "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" end
  n = n + 1
  local c = n %% %d
  local r = (math.floor(n / %d) + c) %% %d + 1
  c = c + others
  return head[r] .. pad[n %% %d] .. pre[r] .. hex[math.floor(n / 65536) %% 65536] ..
    hex[n %% 65536] .. mid[r] .. hex[math.floor(c / 65536)] .. hex[c %% 65536] .. post[r]
end""" % (PADS - 1, "0" if are_known else "math.floor(SEED_BASE / %d) * %d" % (SEEDS_EACH, clients),
        clients, clients, rules, PADS))
    return "\n".join(lines) + DONE


def get_script(path):
    pad = "x" * 130
    return ('wrk.method = "GET"\nwrk.path = "%s"\nwrk.headers["User-Agent"] = "ccmhttp"\n'
            'wrk.headers["X-Pad"] = "%s"\n' % (path, pad)) + DONE


def upload_script(path, size):
    return ("""
local is_first = true
local whole = "BITS_POST %s HTTP/1.1\\r\\nHost: mp01.example.test\\r\\nContent-Length: %d\\r\\n\\r\\n" ..
  string.rep("B", %d)
request = function()
  if is_first then is_first = false; return "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" end
  return whole
end
""" % (path, size, size)) + DONE
