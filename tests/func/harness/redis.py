"""A real redis-server of a test, and the few words of its protocol."""
import os
import signal
import socket
import subprocess

from .proxy import until


class RedisError(Exception):
    pass


class Resp:
    """One connection: r("SET", "a", 1)."""

    def __init__(self, address, timeout=10):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.s = socket.socket(family, socket.SOCK_STREAM)
        self.s.settimeout(timeout)
        self.s.connect(address)
        self.f = self.s.makefile("rb")
        self.encoding = "utf-8"

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        out = [b"*%d\r\n" % len(words)]
        out += [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]
        self.s.sendall(b"".join(out))
        return self.read()

    def read(self):
        line = self.f.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        n = int(rest)
        if kind == b":" or n < 0:
            return n if kind == b":" else None
        if kind == b"*":
            return [self.read() for _ in range(n)]
        data = self.f.read(n + 2)[:-2]
        return data.decode(self.encoding, "replace")

    def close(self):
        self.f.close()
        self.s.close()


class Redis:
    """appendfsync always, on a Unix socket in folder, or on a TCP port of its own as well."""

    def __init__(self, folder, *args, has_port=False, env=None):
        self.folder = str(folder)
        self.socket = os.path.join(self.folder, "r.sock")
        self.args = list(args)
        self.env = env or {}
        self.proc = None
        self.port = 0
        if has_port:
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]

    def spawn(self):
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket",
                self.socket, "--dir", self.folder, "--save", "", "--appendonly", "yes",
                "--appendfsync", "always", "--maxmemory-policy", "noeviction",
                "--set-max-intset-entries", "4096"] + self.args
        with open(os.path.join(self.folder, "redis.log"), "ab") as log:
            self.proc = subprocess.Popen(argv, executable="/usr/bin/redis-check-rdb", stdout=log,
                                         stderr=log, env={**os.environ, **self.env})
        return self

    def start(self):
        self.spawn()
        until("Redis answers", self.answers)
        return self

    def answers(self):
        try:
            return self.call("PING") == "PONG"
        except (OSError, RedisError):
            return False

    def call(self, *words):
        r = Resp(self.socket)
        try:
            return r(*words)
        finally:
            r.close()

    def send(self, sig):
        self.proc.send_signal(sig)

    def stop(self, sig=signal.SIGKILL):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGCONT)
            self.proc.send_signal(sig)
            self.proc.wait()

    def rules(self, prefix="statweir"):
        """Client: set of the rules that it was ever counted with."""
        r = Resp(self.socket)
        r.encoding = "latin-1"
        out = {}
        try:
            for key in r("KEYS", prefix + ":n{*"):
                shard = prefix + ":" + key[key.index("{"):]
                names = r("FCALL", "statweir3_rules", 1, shard)
                for c in self.clients(r, prefix, key[key.index("{"):]):
                    said = r("FCALL", "statweir3_client", 1, shard, c)
                    out[c] = {names[8 * i + j] for bits in said[5:7] for i, b in enumerate(bits)
                              for j in range(8) if ord(b) >> (7 - j) & 1}
            return out
        finally:
            r.close()

    @staticmethod
    def clients(r, prefix, tag):
        return set(r("ZRANGE", prefix + ":dirty" + tag, 0, -1)) | set(
            r("HKEYS", prefix + ":q" + tag))

    def messages(self, prefix="statweir"):
        """Client: messages ever recorded, asked of the data and not of statweir."""
        r = Resp(self.socket)
        out = {}
        try:
            tags = {k[k.index("{"):] for k in r("KEYS", prefix + ":n{*")}
            for tag in tags:
                for c in self.clients(r, prefix, tag):
                    out[c] = r("FCALL", "statweir3_count", 1, prefix + ":" + tag, c)
            return out
        finally:
            r.close()
