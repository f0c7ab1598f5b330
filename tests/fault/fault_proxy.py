"""A TCP proxy that does to its connections what networks do, told so by the test.

    p = FaultProxy(("127.0.0.1", 6379))      # or a Unix socket's path
    p.back.delay_s = 0.1                     # every piece from the server waits
    p.there.hole = True                      # bytes of the client vanish
    p.back.cut_after = 7                     # reset after 7 more bytes, once
    p.back.rate = 1000                       # bytes a second
    p.back.corrupt_at = 3                    # byte 3 from now on is flipped
    p.heal(); p.refuse(); p.reset_all()

Two threads for each connection; what is changed holds for connections that are open too.
"""
import socket
import struct
import threading
import time

RESET = struct.pack("ii", 1, 0)


class Way:
    """One direction, of all connections together."""

    def __init__(self):
        self.seen = 0  # bytes that came, whatever became of them
        self.heal()

    def heal(self):
        self.delay_s = 0
        self.hole = False
        self.cut_after = None
        self.rate = None
        self.corrupt_at = None

    def take(self, data):
        """(bytes to pass on, must the connection be cut behind them)"""
        self.seen += len(data)
        if self.corrupt_at is not None:
            at = self.corrupt_at
            self.corrupt_at = at - len(data)
            if at < len(data):
                data = data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1:]
                self.corrupt_at = None
        if self.cut_after is not None and self.cut_after <= len(data):
            cut, self.cut_after = self.cut_after, None
            return data[:cut], True
        if self.cut_after is not None:
            self.cut_after -= len(data)
        return (b"" if self.hole else data), False


class FaultProxy:
    def __init__(self, target, port=0):
        self.target = target
        self.there, self.back = Way(), Way()
        self.lock = threading.Lock()
        self.pairs = set()
        self.connections = 0
        self.is_refusing = False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self):
        self.is_refusing = False
        self.there.heal()
        self.back.heal()

    def refuse(self):
        """New connections are closed as soon as they are made, and the old ones reset."""
        self.is_refusing = True
        self.reset_all()

    def reset_all(self):
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            self._reset(pair)

    def close(self):
        self.listener.close()
        self.reset_all()

    @staticmethod
    def _reset(pair):
        for s in pair:
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _connect(self):
        if isinstance(self.target, str):
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.target)
            return s
        return socket.create_connection(self.target, 10)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.is_refusing:
                client.close()
                continue
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            for s in (client, server):
                s.settimeout(None)
                if s.family == socket.AF_INET:
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self.lock:
                self.pairs.add(pair)
            for a, b, way in ((client, server, self.there), (server, client, self.back)):
                threading.Thread(target=self._pump, args=(pair, a, b, way),
                                 daemon=True).start()

    def _pump(self, pair, a, b, way):
        try:
            self._copy(pair, a, b, way)
        except OSError:
            self._reset(pair)
        with self.lock:
            self.pairs.discard(pair)

    def _copy(self, pair, a, b, way):
        while True:
            data = a.recv(way.rate and max(1, way.rate // 20) or 65536)
            if not data:
                b.shutdown(socket.SHUT_WR)
                return
            if way.delay_s:
                time.sleep(way.delay_s)
            if way.rate:
                time.sleep(len(data) / way.rate)
            data, is_cut = way.take(data)
            if data:
                b.sendall(data)
            if is_cut:
                self._reset(pair)
                return
