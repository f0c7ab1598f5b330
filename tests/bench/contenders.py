"""The proxies that are measured side by side, each in front of the same backend.

Each contender is a set of processes pinned to one core; its CPU time is the sum over
them from /proc/PID/schedstat (nanoseconds on the CPU, user and system). Redis, where
there is one, runs on the same core and is counted apart.
"""
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import procs

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PROXY_CORE = 0
LOAD_CORE = 1
ACK_TYPE = 'multipart/mixed; boundary=\\"aAbBcCdDv1234567890VxXyYzZ\\"'
ACK_BODY = ("--aAbBcCdDv1234567890VxXyYzZ\\r\\ncontent-type: text/plain; charset=UTF-16\\r\\n"
            "\\r\\nNoReply\\r\\n--aAbBcCdDv1234567890VxXyYzZ--")
# Connections to the backend: the same bound for all, out of everybody's way.
UPSTREAM_MAX = 8192


# Below the range from which the load's own connections get theirs.
PORTS = itertools.count(random.randrange(12000, 28000))


def free_port():
    for port in PORTS:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until(what, ready, proc, seconds=15):
    end = time.monotonic() + seconds
    while not ready():
        if proc.poll() is not None:
            raise RuntimeError("%s ended with %s" % (what, proc.returncode))
        if time.monotonic() > end:
            raise RuntimeError("%s is not ready after %d s" % (what, seconds))
        time.sleep(0.02)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def end_process(proc):
    if proc is None or proc.poll() is not None:
        return
    proc.send_signal(signal.SIGTERM)
    try:
        proc.wait(20)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


class Contender:
    """A running proxy: port, CPU and memory of its own processes, Redis apart."""

    name = "?"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sw-bench-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.proc = None

    def argv(self, backend):
        raise NotImplementedError

    def spawn(self, argv, core, log_name, **kw):
        with open(os.path.join(self.dir, log_name), "ab") as log:
            return subprocess.Popen(["taskset", "-c", str(core)] + argv, stdout=log, stderr=log,
                                    stdin=subprocess.DEVNULL, **kw)

    def is_ready(self):
        return listens(self.port)

    def start(self, backend, core=PROXY_CORE):
        self.proc = self.spawn(self.argv(backend), core, "log")
        try:
            until(self.name, self.is_ready, self.proc)
        except RuntimeError as e:
            with open(os.path.join(self.dir, "log")) as f:
                raise RuntimeError("%s: %s" % (e, f.read()[-2000:])) from e
        return self

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def pids(self):
        """(own, store) processes."""
        both = [self.proc.pid] + procs.children(self.proc.pid)
        store = {p for p in both if procs.name_of(p).startswith("redis")}
        # what Redis forks is in its own account once it has ended
        forked = {c for p in store for c in procs.children(p)}
        return [p for p in both if p not in store], sorted(store - forked)

    def cpu(self):
        """(own, store) CPU in nanoseconds so far."""
        return tuple(sum(procs.cpu_ns(p) for p in v) for v in self.pids())

    def user_system(self):
        """Ticks of the proxy itself."""
        v = [procs.system_share(p) for p in self.pids()[0]]
        return sum(u for u, _ in v), sum(s for _, s in v)

    def rss_kib(self, field="VmRSS"):
        return sum(procs.memory_kib(p, field) for p in self.pids()[0])

    def reset_peak(self):
        for p in self.pids()[0]:
            procs.reset_peak(p)

    def absorbed(self):
        """Messages it has recorded itself so far; None: it forwards them all."""
        return None

    def stop(self):
        end_process(self.proc)
        shutil.rmtree(self.dir, ignore_errors=True)


class Statweir(Contender):
    name = "statweir"

    def __init__(self, name="statweir", settings=(), workers=1, binary=None):
        super().__init__()
        self.name = name
        self.binary = binary or os.environ.get("STATWEIR_BIN",
                                               os.path.join(TOP, "build/dev/statweir"))
        self.admin = free_port()
        self.settings = list(settings) + ["global.workers=%d" % workers]

    def argv(self, backend):
        argv = [self.binary, "--listen", "127.0.0.1:%d" % self.port, "--upstream",
                "127.0.0.1:%d" % backend, "--admin", "127.0.0.1:%d" % self.admin, "--state",
                self.dir]
        # The throttle is on, but a backend that answers tens of thousands a second is no
        # management point: nothing of this may be held.
        for s in ["throttle.ceiling=1000000", "throttle.ceiling_concurrency=10000",
                  "throttle.other_concurrency=0",
                  "listen.max_connections=60000", "listen.max_per_address=60000",
                  "listen.backlog=4096",
                  "listen.max_requests=1000000", "global.drain=1s", "rollup.interval=1d",
                  "upstream.max_connections=%d" % UPSTREAM_MAX] + self.settings:
            argv += ["--set", s]
        return argv

    def get(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.admin, path), timeout=5) as r:
            return json.load(r)

    def is_ready(self):
        try:
            url = "http://127.0.0.1:%d/readyz" % self.admin
            with urllib.request.urlopen(url, timeout=5) as r:
                return r.status == 200
        except OSError:
            return False

    def absorbed(self):
        t = self.get("/ledger")["traffic"]
        return t["absorbed_unique"] + t["absorbed_duplicate"]


class Haproxy(Contender):
    name = "haproxy"

    def argv(self, backend):
        path = self.write("haproxy.cfg", """
global
    nbthread 1
    maxconn 9000
    tune.pool-high-fd-ratio 100
    tune.pool-low-fd-ratio 100
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
frontend f
    bind 127.0.0.1:%d backlog 4096
    default_backend b
backend b
    option forwardfor
    server s 127.0.0.1:%d pool-max-conn %d
""" % (self.port, backend, UPSTREAM_MAX))
        return ["haproxy", "-db", "-f", path]


NGINX = """
daemon off;
user root;
worker_processes 1;
pid %(dir)s/nginx.pid;
error_log %(dir)s/error.log error;
%(modules)s
worker_rlimit_nofile 65536;
events { worker_connections 32768; }
http {
    access_log off;
    client_body_temp_path %(dir)s/body;
    proxy_temp_path %(dir)s/proxy;
    fastcgi_temp_path %(dir)s/fastcgi;
    uwsgi_temp_path %(dir)s/uwsgi;
    scgi_temp_path %(dir)s/scgi;
    keepalive_requests 1000000;
    client_max_body_size 0;
%(http)s
}
"""

TO_BACKEND = """
            proxy_pass http://b;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
"""


class Nginx(Contender):
    name = "nginx"
    modules = ()
    settings = ""
    locations = ""

    def argv(self, backend):
        path = self.write("nginx.conf", NGINX % {
            "dir": self.dir, "modules": "\n".join("load_module %s;" % m for m in self.modules),
            "http": """%s
    upstream b { server 127.0.0.1:%d; keepalive %d; keepalive_requests 1000000; }
    server {
        listen 127.0.0.1:%d backlog=4096;
        location / {%s}
        %s
    }
""" % (self.settings, backend, UPSTREAM_MAX, self.port, TO_BACKEND, self.locations)})
        return ["nginx", "-c", path, "-p", self.dir]


REDIS = """
port 0
unixsocket %(dir)s/redis.sock
dir %(dir)s
save ""
appendonly yes
appendfsync %(fsync)s
no-appendfsync-on-rewrite no
maxmemory-policy noeviction
"""


class NginxLua(Nginx):
    """nginx with Lua, and a Redis that keeps the same promise as statweir's."""

    modules = ("/usr/lib/nginx/modules/ndk_http_module.so",
               "/usr/lib/nginx/modules/ngx_http_lua_module.so")

    def __init__(self, name="nginx-lua", fsync="always", recognise=""):
        super().__init__()
        self.name = name
        self.redis = None
        self.fsync = fsync
        self.socket = os.path.join(self.dir, "redis.sock")
        self.settings = """
    lua_package_path "%s/lua/?.lua;;";
    lua_socket_log_errors off;
    init_by_lua_block { require("absorb").socket = "unix:%s" }""" % (HERE, self.socket)
        self.locations = """
        location = /ccm_system/request {
            client_body_buffer_size 64k;
            content_by_lua_block { require("absorb").content(%s) }
        }
        location @mp {%s}""" % (recognise, TO_BACKEND)

    def start(self, backend, core=PROXY_CORE):
        binary = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        conf = self.write("redis.conf", REDIS % {"dir": self.dir, "fsync": self.fsync})
        argv0 = 'exec -a redis-server "$0" "$1"'  # Debian's one program for all of Redis's names
        # A session of its own, as statweir's has: the scheduler shares a core by sessions.
        self.redis = self.spawn(["bash", "-c", argv0, binary, conf], core, "redis.log",
                                start_new_session=True)
        until("redis", lambda: os.path.exists(self.socket), self.redis)
        with open(os.path.join(HERE, "lua", "rollup.lua"), "rb") as f:
            self.ask("-x", "FUNCTION", "LOAD", stdin=f)
        return super().start(backend, core)

    def ask(self, *words, stdin=None):
        out = subprocess.run(["redis-cli", "-s", self.socket, *words], stdin=stdin, check=True,
                             capture_output=True, text=True, timeout=10).stdout.strip()
        if out.startswith("ERR"):
            raise RuntimeError("redis: " + out)
        return out

    def pids(self):
        return super().pids()[0], [self.redis.pid]

    def absorbed(self):
        return int(self.ask("GET", "absorbed") or 0)

    def stop(self):
        end_process(self.redis)
        super().stop()


class Backend(Nginx):
    """nginx answering by itself: short replies to messages, 8 KB to GET /8k, 10 MB to /10m."""

    name = "backend"

    def argv(self, backend):
        with open(os.path.join(self.dir, "10m"), "wb") as f:
            f.write(os.urandom(1 << 20) * 10)
        with open(os.path.join(self.dir, "8k"), "wb") as f:
            f.write(b"policy " * 1170)
        path = self.write("nginx.conf", NGINX % {
            "dir": self.dir, "modules": "", "http": """
    server {
        listen 127.0.0.1:%d backlog=4096;
        location / {
            default_type "%s";
            return 200 "%s";
        }
        location = /up {
            client_body_buffer_size 16m;
            proxy_pass http://127.0.0.1:%d/sink;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }
        location = /8k { root %s; }
        location = /10m { root %s; sendfile on; }
    }
""" % (self.port, ACK_TYPE, ACK_BODY, self.port, self.dir, self.dir)})
        return ["nginx", "-c", path, "-p", self.dir]
