"""A Redis that follows a script: what statweir asks it answers rightly, unless told otherwise.

    r = FakeRedis()
    r.errors["absorb"] = "READONLY You can't write against a read only replica."
    r.errors["INFO"] = lambda conn: conn.close()     # or anything done to the socket
    r.seen                                           # every command, as a list of words

A key of errors is a command ("INFO", "CONFIG", "HMGET", "FUNCTION", ...) or the short name of
a function ("absorb", "lease", "seal", ...). errors_left[key] = n ends it after n times.
"""
import socket
import threading

INFO = ("redis_version:7.0.15\r\nrole:master\r\nloading:0\r\naof_enabled:1\r\n"
        "aof_last_write_status:ok\r\nmaxmemory_policy:noeviction\r\n")
CONFIG = ["appendonly", "yes", "appendfsync", "always", "no-appendfsync-on-rewrite", "no",
          "set-max-intset-entries", "4096"]


def bulk(text):
    data = text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(items):
    return b"*%d\r\n" % len(items) + b"".join(items)


class FakeRedis:
    def __init__(self):
        self.errors = {}
        self.errors_left = {}
        self.seen = []
        self.digests = set()
        self.hashes = {}
        self.shards = "16"
        self.nonce = "0123456789abcdef0123456789abcdef"
        self.cond = threading.Condition()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.conns = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()
        for c in self.conns:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def count(self, key):
        return sum(1 for words in self.seen if self._key(words) == key)

    @staticmethod
    def _key(words):
        if words[0].upper() == "FCALL":
            return words[1].split("_", 1)[1]
        return words[0].upper()

    def _accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.conns.append(c)
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        f = c.makefile("rb")
        try:
            while True:
                line = f.readline()
                if not line:
                    return
                words = []
                for _ in range(int(line[1:])):
                    n = int(f.readline()[1:])
                    words.append(f.read(n + 2)[:-2].decode("latin-1"))
                with self.cond:
                    self.seen.append(words)
                    out = self._answer(words)
                    self.cond.notify_all()
                if callable(out):
                    out(c)
                elif out:
                    c.sendall(out)
        except (OSError, ValueError):
            pass
        finally:
            f.close()
            c.close()

    def _answer(self, words):
        key = self._key(words)
        if key in self.errors and self.errors_left.get(key, 1) > 0:
            if key in self.errors_left:
                self.errors_left[key] -= 1
            e = self.errors[key]
            return e if callable(e) or isinstance(e, bytes) else b"-%s\r\n" % e.encode()
        return getattr(self, "_do_" + key.lower(), self._do_other)(words)

    @staticmethod
    def _do_other(_words):
        return b"+OK\r\n"

    @staticmethod
    def _do_info(_words):
        return bulk(INFO)

    @staticmethod
    def _do_config(_words):
        return array([bulk(x) for x in CONFIG])

    @staticmethod
    def _do_function(_words):
        return bulk("statweir3")

    @staticmethod
    def _do_hsetnx(_words):
        return b":0\r\n"

    def _do_hmget(self, _words):
        return array([bulk("2"), bulk(self.shards), bulk(self.nonce)])

    def _do_hget(self, words):
        value = self.hashes.get((words[1], words[2]))
        return b"$-1\r\n" if value is None else bulk(value)

    def _do_hset(self, words):
        self.hashes[words[1], words[2]] = words[3]
        return b":0\r\n"

    def _do_absorb(self, words):
        n = int(words[6])
        new = 0
        for i in range(n):
            client, digest, rule = words[7 + 3 * i:10 + 3 * i]
            new += rule != "" and (client, digest) not in self.digests
            self.digests.add((client, digest))
        return b":%d\r\n" % new

    def _do_mark(self, words):
        n = max(int(self.hashes.get((words[3], "n"), 0)), int(words[4])) + 1
        self.hashes[words[3], "n"] = str(n)
        return b":%d\r\n" % n

    @staticmethod
    def _do_lease(_words):
        return b":0\r\n"

    @staticmethod
    def _do_audit(_words):
        return array([b":0\r\n"] * 7)
