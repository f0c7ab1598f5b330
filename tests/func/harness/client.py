"""Raw clients: bytes out, strictly read responses in."""
import re
import socket


class Response:
    def __init__(self, head, content):
        self.head = head
        self.body = content
        self.status = int(head.split(b" ", 2)[1])
        self.raw = head + content

    def field(self, name):
        v = re.findall(rb"(?im)^" + re.escape(name) + rb":[ \t]*(.*?)[ \t]*\r$", self.head)
        return v[0] if v else None

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:80])


class Client:
    def __init__(self, port, timeout=20, source="127.0.0.1"):
        self.s = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""

    def send(self, data, split=0):
        if not split:
            self.s.sendall(data)
            return self
        for i in range(0, len(data), split):
            self.s.sendall(data[i:i + split])
        return self

    def _more(self):
        d = self.s.recv(65536)
        self.buf += d
        return bool(d)

    def response(self, is_head=False):
        """The next response, interim ones included; None at the end of the connection."""
        while b"\r\n\r\n" not in self.buf:
            if not self._more():
                assert not self.buf, "cut in a head: %r" % self.buf
                return None
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        r = Response(head + b"\r\n\r\n", b"")
        if is_head or r.status < 200 or r.status in (204, 304):
            return r
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", r.head):
            r.body = self._chunks()
        elif r.field(b"Content-Length") is not None:
            n = int(r.field(b"Content-Length"))
            while len(self.buf) < n:
                assert self._more(), "cut in a body: %r" % r
            r.body, self.buf = self.buf[:n], self.buf[n:]
        else:
            while self._more():
                pass
            r.body, self.buf = self.buf, b""
        return r

    def _chunks(self):
        out = b""
        while True:
            while b"\r\n" not in self.buf:
                assert self._more(), "cut in a chunk"
            line, self.buf = self.buf.split(b"\r\n", 1)
            n = int(line, 16)
            while len(self.buf) < n + 2:
                assert self._more(), "cut in a chunk"
            out += self.buf[:n]
            assert self.buf[n:n + 2] == b"\r\n"
            self.buf = self.buf[n + 2:]
            if n == 0:
                return out

    def ask(self, data, split=0):
        return self.send(data, split).response()

    def is_closed(self, seconds=10):
        """The other side closes (or resets) without another byte."""
        self.s.settimeout(seconds)
        try:
            return not self.buf and self.s.recv(1) == b""
        except ConnectionResetError:
            return True
        except (socket.timeout, TimeoutError):
            return False

    def half_close(self):
        self.s.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.s.close()

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


def ask(port, data, split=0):
    """One request on a connection of its own."""
    with Client(port) as c:
        return c.ask(data, split)


def same_but_date(a, b):
    drop = lambda x: re.sub(rb"(?im)^Date: .*\r\n", b"", x)
    return drop(a) == drop(b)


