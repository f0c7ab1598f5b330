"""The real statweir binary, on free ports and a state directory of its own."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SCALE = float(os.environ.get("TEST_TIMEOUT_SCALE", "1"))


def binary():
    if "STATWEIR_BIN" in os.environ:
        return os.path.join(TOP, os.environ["STATWEIR_BIN"])
    for b in ("build/san/statweir", "build/dev/statweir"):
        if os.path.exists(os.path.join(TOP, b)):
            return os.path.join(TOP, b)
    raise RuntimeError("build statweir first: make build/dev/statweir")


def until(what, predicate, seconds=20):
    """Poll until predicate() is true; fails with what."""
    end = time.monotonic() + seconds * SCALE
    while True:
        v = predicate()
        if v:
            return v
        if time.monotonic() > end:
            raise AssertionError("did not happen in %d s: %s" % (seconds, what))
        time.sleep(0.02)


class Statweir:
    def __init__(self, upstream, settings=None, state=None):
        self.upstream = upstream
        self.settings = {"rollup.interval": "1h"}
        self.settings.update(settings or {})
        self.owns_state = state is None
        self.state = state or tempfile.mkdtemp(prefix="sw-", dir="/tmp")
        self.log = []
        self.earlier = []
        self.proc = None
        self.port = self.admin = None
        self.expected_exit = 0
        self.env = {}

    def start(self):
        argv = [binary(), "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:%d" % self.upstream,
                "--admin", "127.0.0.1:0", "--state", self.state]
        for k, v in self.settings.items():
            argv += ["--set", "%s=%s" % (k, v)]
        self.earlier += self.log
        self.log = []
        self.proc = subprocess.Popen(argv, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                     env={**os.environ, **self.env})
        self.reader = threading.Thread(target=self._read_log, args=(self.proc,), daemon=True)
        self.reader.start()
        line = until("statweir listens", lambda: self.logged("listening") or self._dead())
        assert line is not True, "statweir ended: %s" % "\n".join(self.log)
        self.port = int(re.search(r" listen=\S+:(\d+)", line).group(1))
        self.admin = int(re.search(r" admin=\S+:(\d+)", line).group(1))
        return self

    def _dead(self):
        return self.proc.poll() is not None

    def _read_log(self, proc):
        log = self.log
        for line in proc.stderr:
            log.append(line.decode("utf-8", "replace").rstrip("\n"))

    def logged(self, event):
        """The newest log line of that event, or None."""
        for line in reversed(list(self.log)):
            if re.match(r"<\d>%s( |$)" % re.escape(event), line):
                return line
        return None

    def get(self, path):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.admin, path),
                                        timeout=20) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def metrics(self):
        out = {}
        for line in self.get("/metrics")[1].splitlines():
            if line and not line.startswith("#"):
                k, v = line.rsplit(" ", 1)
                out[k] = float(v)
        return out

    def metric(self, name, **labels):
        key = name
        if labels:
            key += "{%s}" % ",".join('%s="%s"' % kv for kv in labels.items())
        return self.metrics().get(key, 0)

    def outcome(self, word):
        return int(self.metric("statweir_messages_outcome_total", outcome=word))

    def doubt(self, word):
        return int(self.metric("statweir_recognition_doubtful_total", reason=word))

    def closed(self, word):
        return int(self.metric("statweir_closed_total", reason=word))

    def ledger(self):
        return json.loads(self.get("/ledger?fresh=1")[1])

    def ready(self):
        """Wait until the store may be recorded to."""
        until("Redis is ready", lambda: self.metric("statweir_redis_up") == 1)
        return self

    def check_books(self):
        self.ledger()
        m = self.metrics()
        assert m["statweir_ledger_imbalance_messages"] == 0, m
        # Without a store there is nothing to recount.
        assert m.get("statweir_ledger_store_imbalance_messages", 0) == 0, m
        assert "statweir_ledger_store_imbalance_messages" in m or m["statweir_redis_up"] == 0, m

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def stop(self):
        if self.proc is None or self.proc.poll() is not None:
            return self.proc and self.proc.returncode
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(60 * SCALE)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError("statweir did not stop: %s" % "\n".join(self.log[-20:]))
        self.reader.join(5)
        return self.proc.returncode

    def close(self):
        """Last checks of every test: balanced books, clean log, good exit."""
        try:
            if self.proc and self.proc.poll() is None:
                self.check_books()
            code = self.stop()
            text = "\n".join(self.earlier + self.log)
            for bad in ("check_failed", "Sanitizer", "runtime error:"):
                assert bad not in text, text[-6000:]
            assert code in (self.expected_exit, -signal.SIGKILL), (code, text[-3000:])
        finally:
            if self.proc and self.proc.poll() is None:
                self.proc.kill()
                self.proc.wait()
            if self.owns_state:
                shutil.rmtree(self.state, ignore_errors=True)
