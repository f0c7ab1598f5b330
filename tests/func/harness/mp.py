"""A scripted management point: records every request's bytes, answers as it is told."""
import re
import socket
import threading
import time

from . import ccm

ACK_BODY = (b"--" + ccm.BOUNDARY.encode() + b"\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n"
            + ccm.utf16("NoReply", bom=True) + b"\r\n--" + ccm.BOUNDARY.encode() + b"--")


def response(content, status=b"200 OK", fields=b"", keep=True):
    return (b"HTTP/1.1 " + status + b"\r\nServer: Microsoft-IIS/6.0\r\n"
            b'Content-Type: multipart/mixed; boundary="' + ccm.BOUNDARY.encode() + b'"\r\n' +
            fields + b"Content-Length: %d\r\nDate: Thu, 01 Mar 2007 10:11:12 GMT\r\n" % len(content) +
            (b"" if keep else b"Connection: close\r\n") + b"\r\n" + content)


ACK = response(ACK_BODY)


class Request:
    def __init__(self, conn, head, content):
        self.conn = conn
        self.head = head
        self.body = content
        line = head.split(b"\r\n", 1)[0].split(b" ")
        self.method, self.target = line[0], line[1]
        self.raw = head + content
        self.at = time.monotonic()

    def field(self, name):
        v = re.findall(rb"(?im)^" + re.escape(name) + rb":[ \t]*(.*?)[ \t]*\r$", self.head)
        return v[0] if v else None

    def __repr__(self):
        return "<%s %s %d bytes>" % (self.method.decode(), self.target.decode(), len(self.body))


class ManagementPoint:
    """answer(request) -> bytes to send; None closes, b"" says nothing. Default: ACK."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda r: ACK)
        self.requests = []
        self.partial = []
        self.connections = 0
        self.cond = threading.Condition()
        self.open = set()
        self.port = None
        self.listener = None
        self.start()

    def start(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port or 0))
        s.listen(256)
        self.port = s.getsockname()[1]
        self.listener = s
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def stop(self):
        """Vanish: nothing listens any more, connections are reset."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.cond:
            conns = list(self.open)
        for c in conns:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self, s):
        while True:
            try:
                c, _ = s.accept()
            except OSError:
                return
            with self.cond:
                self.connections += 1
                number = self.connections
                self.open.add(c)
            threading.Thread(target=self._serve, args=(c, number), daemon=True).start()

    def _read(self, c, buf):
        """One request, or None at the end; returns (request head, body, rest)."""
        while b"\r\n\r\n" not in buf:
            d = c.recv(65536)
            if not d:
                return None, None, buf
            buf += d
        head, buf = buf.split(b"\r\n\r\n", 1)
        head += b"\r\n\r\n"
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            content = b""
            while True:
                while b"\r\n" not in buf:
                    buf += self._more(c)
                line, buf = buf.split(b"\r\n", 1)
                n = int(line, 16)
                while len(buf) < n + 2:
                    buf += self._more(c)
                content += buf[:n]
                buf = buf[n + 2:]
                if n == 0:
                    return head, content, buf
        m = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        n = int(m.group(1)) if m else 0
        while len(buf) < n:
            d = c.recv(65536)
            if not d:
                return None, None, head + buf
            buf += d
        return head, buf[:n], buf[n:]

    @staticmethod
    def _more(c):
        d = c.recv(65536)
        if not d:
            raise OSError("cut")
        return d

    def _serve(self, c, number):
        buf = b""
        try:
            while True:
                head, content, buf = self._read(c, buf)
                if head is None:
                    break
                r = Request(number, head, content)
                with self.cond:
                    self.requests.append(r)
                    self.cond.notify_all()
                out = self.answer(r)
                if out is None:
                    return
                if callable(out):
                    out(c)
                    return
                c.sendall(out)
        except OSError:
            pass
        finally:
            with self.cond:
                if buf:
                    self.partial.append(buf)
                self.open.discard(c)
                self.cond.notify_all()
            c.close()

    def wait(self, predicate, seconds=20):
        """Wait until predicate(self.requests) is true; returns its value."""
        with self.cond:
            assert self.cond.wait_for(lambda: predicate(self.requests), seconds), \
                "not seen by the management point: %r" % self.requests[-5:]
            return predicate(self.requests)

    def messages(self):
        return [r for r in self.requests if ccm.summary_facts(r.body) is None]

    def summaries(self):
        return [f for f in (ccm.summary_facts(r.body) for r in self.requests) if f]
