"""Memory of idle connections: RSS that each of them adds, after one request of its own."""
import socket

import contenders as C

REQUEST = (b"GET /8k HTTP/1.1\r\nHost: mp01.example.test\r\nUser-Agent: ccmhttp\r\n"
           b"X-Pad: " + b"x" * 200 + b"\r\n\r\n")


def read_answer(s):
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            raise RuntimeError("connection closed before an answer")
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError("answer was %r" % head[:60])
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                  if line.startswith(b"content-length:"))
    while len(body) < length:
        piece = s.recv(65536)
        if not piece:
            raise RuntimeError("connection closed within an answer")
        body += piece


def connect(port, n, asks):
    held = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", port), 10)
        held.append(s)
        if asks:
            s.sendall(REQUEST)
            read_answer(s)
    return held


def measure(make, backend_port, n):
    """Bytes of RSS a connection of a fresh proxy: fresh ones, and ones kept alive."""
    out = {}
    for label, asks in (("never used", False), ("kept alive", True)):
        proxy = make()
        held = []
        try:
            proxy.start(backend_port)
            for s in connect(proxy.port, 50, True):
                s.close()
            before = proxy.rss_kib()
            held = connect(proxy.port, n, asks)
            # the last accepted one has been served: ask on one more
            connect(proxy.port, 1, True)[0].close()
            out[label] = (proxy.rss_kib() - before) * 1024.0 / n
        finally:
            for s in held:
                s.close()
            proxy.stop()
    return out


CONTENDERS = (C.Statweir, C.Haproxy, C.Nginx)
