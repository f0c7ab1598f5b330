"""Between statweir and Redis, one command at a time: the nth fails, in one of three ways.

    p = CommandProxy(redis_socket)
    p.arm("refused", 3, gate)   # the third from now on while the file gate is there
    p.fired                     # the words of the command that it was, or None

refused	 answered with an error, Redis does not see it
unsent	 the connection ends, Redis does not see it
unsaid	 Redis does it, the connection ends in place of its answer
"""
import os
import socket
import threading

REFUSAL = b"-LOADING Redis is loading the dataset in memory\r\n"


class Ended(Exception):
    pass


def read_line(f):
    line = f.readline()
    if not line.endswith(b"\r\n"):
        raise Ended()
    return line


def read_value(f):
    """One value in Redis's format, as its bytes: a command, or an answer."""
    line = read_line(f)
    n = int(line[1:]) if line[:1] in (b"*", b"$") else -1
    if line[:1] == b"*":
        return line + b"".join(read_value(f) for _ in range(n))
    if line[:1] == b"$" and n >= 0:
        data = f.read(n + 2)
        if len(data) < n + 2:
            raise Ended()
        return line + data
    return line


class CommandProxy:
    def __init__(self, target):
        self.target = target
        self.lock = threading.Lock()
        self.arm(None, 0, "")
        self.conns = []
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, how, n, gate):
        self.how, self.left, self.gate, self.fired = how, n, gate, None

    def close(self):
        self.listener.close()
        for s in self.conns:
            self._end(s)

    @staticmethod
    def _end(s):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.conns.append(c)
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _is_the_one(self, command):
        with self.lock:
            if self.fired or not self.how or not os.path.exists(self.gate):
                return False
            self.left -= 1
            if self.left > 0:
                return False
            self.fired = command.split(b"\r\n")[2::2][:2]
            return True

    def _serve(self, c):
        s = socket.socket(socket.AF_UNIX)
        self.conns.append(s)
        try:
            s.connect(self.target)
            from_client, from_redis = c.makefile("rb"), s.makefile("rb")
            while True:
                command = read_value(from_client)
                is_it = self._is_the_one(command)
                if is_it and self.how == "refused":
                    c.sendall(REFUSAL)
                    continue
                if is_it and self.how == "unsent":
                    break
                s.sendall(command)
                answer = read_value(from_redis)
                if is_it:
                    break
                c.sendall(answer)
        except (OSError, Ended):
            pass
        self._end(c)
        self._end(s)
