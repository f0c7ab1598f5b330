"""The proxies that are measured side by side, each in front of the same backend.

Each contender is a set of processes pinned to one core; its CPU time is the sum
over them from /proc/PID/schedstat (nanoseconds on the CPU, user and system).
"""
import os
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PROXY_CORE = 0
LOAD_CORE = 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_port(port, proc, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if proc.poll() is not None:
            raise RuntimeError("%s ended with %s" % (proc.args[0], proc.returncode))
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("nothing listens on port %d after %d s" % (port, seconds))


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            direct = [int(x) for x in f.read().split()]
    except OSError:
        return []
    return direct + [g for c in direct for g in children(c)]


def name_of(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return ""


def cpu_ns(pid):
    total = 0
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                total += int(f.read().split()[0])
    except OSError:
        pass
    return total


def memory_kib(pid, field):
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


class Contender:
    """A running proxy: port, CPU and memory of its own processes, Redis apart."""

    name = "?"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sw-bench-", dir="/tmp")
        self.port = free_port()
        self.proc = None

    def argv(self, backend):
        raise NotImplementedError

    def start(self, backend, core=PROXY_CORE):
        log = open(os.path.join(self.dir, "log"), "wb")
        self.proc = subprocess.Popen(["taskset", "-c", str(core)] + self.argv(backend),
                                     stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            await_port(self.port, self.proc)
        except RuntimeError as e:
            with open(log.name) as f:
                raise RuntimeError("%s: %s: %s" % (self.name, e, f.read()[-2000:])) from e
        return self

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def pids(self):
        return [self.proc.pid] + children(self.proc.pid)

    def is_store(self, pid):
        return name_of(pid).startswith("redis")

    def cpu(self):
        """(own, store) CPU in nanoseconds so far."""
        own = sum(cpu_ns(p) for p in self.pids() if not self.is_store(p))
        store = sum(cpu_ns(p) for p in self.pids() if self.is_store(p))
        return own, store

    def rss_kib(self, field="VmRSS"):
        return sum(memory_kib(p, field) for p in self.pids() if not self.is_store(p))

    def stop(self):
        if self.proc is None:
            return
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        subprocess.run(["rm", "-rf", self.dir], check=False)


class Statweir(Contender):
    name = "statweir"

    def __init__(self, settings=(), workers=1):
        super().__init__()
        self.admin = free_port()
        self.settings = list(settings) + ["global.workers=%d" % workers]

    def argv(self, backend):
        binary = os.environ.get("STATWEIR_BIN", os.path.join(TOP, "build/dev/statweir"))
        argv = [binary, "--listen", "127.0.0.1:%d" % self.port, "--upstream",
                "127.0.0.1:%d" % backend, "--admin", "127.0.0.1:%d" % self.admin, "--state",
                self.dir, "--set", "listen.max_per_address=100000",
                "--set", "upstream.max_connections=1024"]
        for s in self.settings:
            argv += ["--set", s]
        return argv


class Haproxy(Contender):
    name = "haproxy"

    def argv(self, backend):
        path = self.write("haproxy.cfg", """
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
frontend f
    bind 127.0.0.1:%d
    default_backend b
backend b
    option forwardfor
    server s 127.0.0.1:%d pool-max-conn 1024
""" % (self.port, backend))
        return ["haproxy", "-db", "-f", path]


NGINX = """
daemon off;
user root;
worker_processes 1;
pid %(dir)s/nginx.pid;
error_log %(dir)s/error.log error;
%(modules)s
worker_rlimit_nofile 65536;
events { worker_connections 16384; }
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


class Nginx(Contender):
    name = "nginx"

    def argv(self, backend):
        path = self.write("nginx.conf", NGINX % {
            "dir": self.dir, "modules": "", "http": """
    upstream b { server 127.0.0.1:%d; keepalive 1024; keepalive_requests 1000000; }
    server {
        listen 127.0.0.1:%d backlog=4096;
        location / {
            proxy_pass http://b;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }
    }
""" % (backend, self.port)})
        return ["nginx", "-c", path, "-p", self.dir]


class Backend(Contender):
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
            default_type "multipart/mixed; boundary=\\"aAbBcCdDv1234567890VxXyYzZ\\"";
            return 200 "--aAbBcCdDv1234567890VxXyYzZ\\r\\ncontent-type: text/plain; charset=UTF-16\\r\\n\\r\\nNoReply\\r\\n--aAbBcCdDv1234567890VxXyYzZ--";
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
""" % (self.port, self.port, self.dir, self.dir)})
        return ["nginx", "-c", path, "-p", self.dir]
