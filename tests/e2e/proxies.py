"""Real proxies with the recipes of sidecar/gateway, and a service behind them.

A recipe runs as it is shipped: only addresses and paths in it are replaced, and
each must be there to be replaced. What a distribution's main file would hold
(log, pid, user) is in a frame around it.
"""
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import threading
from collections import namedtuple
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import rig

RECIPES = rig.ROOT / "sidecar/gateway"
WAIT_S = 10 * rig.PATIENCE

Answer = namedtuple("Answer", "status fields body")


# ---- the service behind ----

class Echo(BaseHTTPRequestHandler):
    """Says in JSON what it got, and remembers it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while n := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(n)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self):
        body = self._body()
        got = {"method": self.command, "path": self.path,
               "fields": [[k.lower(), v] for k, v in self.headers.items()],
               "bytes": len(body),
               "sha256": hashlib.sha256(body).hexdigest()}
        self.server.seen.append(got)
        text = json.dumps(got).encode()
        self.send_response(int(self.headers.get("X-Say", 200)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _answer

    def log_message(self, *_):
        pass


class Service(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Echo)
        self.seen = []
        self.thread = threading.Thread(target=self.serve_forever,
                                       kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # a proxy that hangs up is no news


# ---- proxies ----

def free_port():
    """Below those that the kernel gives to connections on its own."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def replaced(name, changes):
    """A recipe's text with addresses and paths of this test."""
    text = (RECIPES / name).read_text()
    for old, new in changes:
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    return text


class Proxy:
    """Runs from start() to stop(); what it says is in its log."""

    def __init__(self, root, site, service, policy="default"):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.changes = [
            ("/run/jeton/jeton-http.sock", str(site.run / "jeton-http.sock")),
            ("127.0.0.1:8000", f"127.0.0.1:{service.server_port}")]
        self.policy = policy
        self.process = None

    def write(self, name, text):
        path = self.root / name
        path.write_text(text)
        return path

    def recipe(self, name, *changes):
        return self.write(name, replaced(name, [*changes, *self.changes]))

    def log(self):
        return "".join(f"--- {p.name}\n{p.read_text(errors='replace')}"
                       for p in sorted(self.root.glob("*log")))

    def ports(self):
        return [self.port]

    def listens(self):
        assert self.process.poll() is None, \
            f"{self.name} ended with {self.process.returncode}:\n{self.log()}"
        for port in self.ports():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                return False
        return True

    def start(self):
        argv = self.prepare()
        env = {**os.environ, "HOME": str(self.root),
               "XDG_CONFIG_HOME": str(self.root),
               "XDG_DATA_HOME": str(self.root)}
        with open(self.root / "said.log", "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, cwd=self.root)
        try:
            rig.until(self.listens, WAIT_S, f"{self.name} listens")
        except AssertionError as e:
            self.stop()
            raise AssertionError(f"{e}\n{self.log()}") from None
        return self

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Proxy):
    name, program, flag = "nginx", "nginx", "-v"
    listen = "127.0.0.1:8080"

    def prepare(self):
        other = "127.0.0.1:8081" if self.listen.endswith("0") else \
            "127.0.0.1:8080"
        self.other_port = free_port()
        recipe = self.recipe(
            "nginx.conf", (self.listen, f"127.0.0.1:{self.port}"),
            (other, f"127.0.0.1:{self.other_port}"),
            ("/auth/default", f"/auth/{self.policy}"))
        temp = "\n".join(f"{x}_temp_path {self.root}/{x};" for x in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        frame = self.write("frame.conf", f"""daemon off; {user}
            worker_processes 1; pid {self.root}/pid;
            error_log {self.root}/error.log;
            events {{ worker_connections 256; }}
            http {{ access_log off; {temp}
            include {recipe}; }}""")
        return [self.program, "-p", str(self.root),
                "-e", f"{self.root}/error.log", "-c", str(frame)]

    def ports(self):
        return [self.port, self.other_port]


class NginxPlain(Nginx):
    name = "nginx-plain"
    listen = "127.0.0.1:8081"


class Caddy(Proxy):
    name, program, flag = "caddy", "caddy", "version"

    def prepare(self):
        recipe = self.recipe("Caddyfile", (":8080 {", f":{self.port} {{"),
                             ("/auth/default", f"/auth/{self.policy}"))
        frame = self.write("frame", f"{{\n\tadmin off\n}}\nimport {recipe}\n")
        return [self.program, "run", "--adapter", "caddyfile",
                "--config", str(frame)]


class Haproxy(Proxy):
    name, program, flag = "haproxy", "haproxy", "-v"

    def prepare(self):
        lua = self.write("jeton.lua", self.lua())
        recipe = self.write("haproxy.cfg", replaced("haproxy.cfg", [
            ("/etc/haproxy/jeton.lua", str(lua)),
            ("127.0.0.1:8080", f"127.0.0.1:{self.port}"),
            ("lua.jeton default", f"lua.jeton {self.policy}"),
            self.changes[1]]))
        return [self.program, "-db", "-f", str(recipe)]

    def lua(self):
        return replaced("jeton.lua", self.changes[:1])


PROXIES = {p.name: p for p in (Nginx, NginxPlain, Caddy, Haproxy)}


def version(name):
    """What the program says of itself; `missing` where there is none."""
    p = PROXIES[name]
    if not shutil.which(p.program):
        return "missing"
    done = subprocess.run([p.program, p.flag], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    found = re.search(rb"\d+\.\d+\.\d+", done.stdout)
    return found[0].decode() if found else "unknown"


# ---- a site, a service, and a proxy between them ----

class Gate:
    def __init__(self, site, service, proxy):
        self.site, self.service, self.proxy = site, service, proxy
        self.name = proxy.name
        self.url = f"http://127.0.0.1:{proxy.port}"

    def curl(self, *args, path="/", token=None, rc=0, timeout_s=30):
        """One request by curl: its last answer."""
        head, body = self.site.root / "head", self.site.root / "body"
        for old in (head, body):
            old.unlink(missing_ok=True)
        if token is not None:
            args = ("-H", f"Authorization: Bearer {token}", *args)
        done = subprocess.run(
            ["curl", "-sS", "-q", "--path-as-is", "--noproxy", "*",
             "--max-time", str(timeout_s * rig.PATIENCE), "-D", str(head),
             "-o", str(body), *args, self.url + path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        wanted = rc if isinstance(rc, tuple) else (rc,)
        assert done.returncode in wanted, (done, self.proxy.log())
        if done.returncode == 55:
            return None  # it could not send; what was answered is lost
        blocks = head.read_bytes().decode("latin-1").strip().split("\r\n\r\n")
        first, *rest = blocks[-1].split("\r\n")
        fields = {}
        for line in rest:
            key, value = line.split(":", 1)
            fields.setdefault(key.lower(), []).append(value.strip())
        return Answer(int(first.split(" ")[1]), fields,
                      body.read_bytes() if body.exists() else b"")

    def many(self, n, token, n_at_once=1, *args):
        """N requests by one curl: their statuses."""
        config = self.site.root / "curlrc"
        config.write_text(f'header = "Authorization: Bearer {token}"\n')
        more = ["--parallel", "--parallel-max", str(n_at_once)] \
            if n_at_once > 1 else []
        done = subprocess.run(
            ["curl", "-sS", "-q", "--noproxy", "*", "-K", str(config), *more,
             *args,
             "-o", "/dev/null", "-w", "%{http_code}\\n",
             f"{self.url}/[1-{n}]"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert done.returncode == 0, self.proxy.log()
        return [int(x) for x in done.stdout.split()]

    @staticmethod
    def signal(pids, sig):
        for pid in pids:
            os.kill(pid, sig)

    def word_counts(self):
        """Verdicts so far, by word."""
        with self.site.client() as c:
            return {k[8:]: v for k, v in c.stats().items()
                    if k.startswith("verdict_")}

    @contextmanager
    def one_verdict(self, word):
        """Exactly that one is decided within."""
        before = self.word_counts()
        yield
        after = self.word_counts()
        assert {k: after[k] - before[k] for k in after
                if after[k] != before[k]} == {word: 1}


@contextmanager
def a_gate(name, *flags, policy="default", kind=None):
    """A served site behind that proxy; FLAGS are jetond's."""
    with ExitStack() as stack:
        site = stack.enter_context(rig.a_site())
        site.start("--workers", "1", *flags)
        service = Service()
        stack.callback(service.stop)
        proxy = (kind or PROXIES[name])(site.root / "p", site, service, policy)
        stack.callback(proxy.stop)
        yield Gate(site, service, proxy.start())
