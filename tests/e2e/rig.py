"""What the end-to-end tests share: sites, daemons, the admin tool, a client.

A Site is one data directory and one run directory of its own; everything it
starts, it ends. Paths are short because a socket's path has 107 bytes.
JETON_BIN names the directory of the binaries; JETON_INTEROP the one where
`npm ci` has put the Node clients. JETON_TEST_WRAP is put before every jetond
that a test starts and does not itself trace; `make e2e-epoll` forbids io_uring
so.
"""
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("JETON_BIN", ROOT / "build/release")).resolve()
INTEROP = Path(os.environ.get("JETON_INTEROP", ROOT / "build/interop"))
EXAMPLES = ROOT / "tests/examples"
JETON, JETOND = str(BIN / "jeton"), str(BIN / "jetond")
WRAP = shlex.split(os.environ.get("JETON_TEST_WRAP", ""))
NO_RING = bool(WRAP)
ASAN = "asan" in BIN.name
PATIENCE = 4 if ASAN else 1  # for deadlines that a sanitizer stretches

WORDS = """LOADING MISSING WHITESPACE MALFORMED MISTYPED UNKNOWN
	WRONG_ENVIRONMENT REVOKED SUSPENDED EXPIRED INSUFFICIENT_SCOPE
	QUOTA_EXCEEDED RATE_LIMITED VALID""".split()
STATUS = {"LOADING": 503, "INSUFFICIENT_SCOPE": 403, "QUOTA_EXCEEDED": 429,
          "RATE_LIMITED": 429, "VALID": 200}  # all others 401

Verdict = namedtuple("Verdict", """word status id expires_in_s limit remaining
	reset_ms retry_after_ms owner applied notes""")
Done = namedtuple("Done", "rc out err")


# ---- a RESP client that hides nothing ----

class Simple(str):
    """+TEXT"""


class Error(str):
    """-TEXT"""


class Closed(Exception):
    """The server ended the connection."""


def encode(*args):
    out = [b"*%d\r\n" % len(args)]
    for a in args:
        a = a if isinstance(a, bytes) else str(a).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(a), a))
    return b"".join(out)


class Resp:
    """One connection. Values: bytes, int, Simple, Error, list, dict, None."""

    def __init__(self, site, timeout=20.0, proto=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(str(site.sock))
        self.buf, self.at = b"", 0
        if proto:
            assert self("HELLO", proto)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *args):
        self.sock.sendall(encode(*args))

    def raw(self, data):
        self.sock.sendall(data)

    def _more(self):
        got = self.sock.recv(1 << 18)
        if not got:
            raise Closed
        self.buf, self.at = self.buf[self.at:] + got, 0

    def _line(self):
        while (end := self.buf.find(b"\r\n", self.at)) < 0:
            self._more()
        line, self.at = self.buf[self.at:end], end + 2
        return line

    def _bulk(self, n):
        while len(self.buf) - self.at < n + 2:
            self._more()
        data = self.buf[self.at:self.at + n]
        assert self.buf[self.at + n:self.at + n + 2] == b"\r\n"
        self.at += n + 2
        return data

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return Simple(rest.decode())
        if kind == b"-":
            return Error(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._bulk(int(rest))
        if kind == b"=":
            return self._bulk(int(rest))[4:]
        if kind in (b"*", b"~"):
            return [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        raise AssertionError(f"no RESP: {line!r}")

    def __call__(self, *args):
        self.send(*args)
        return self.read()

    def verify(self, token, *options):
        return verdict(self("VERIFY", token, *options))

    def info(self):
        text = self("INFO")
        assert isinstance(text, bytes), text
        return dict(line.split(":", 1) for line in text.decode().split("\r\n")
                    if ":" in line)

    def stats(self):
        flat = self("STATS")
        if isinstance(flat, dict):
            return {k.decode(): v for k, v in flat.items()}
        return {k.decode(): v for k, v in zip(flat[::2], flat[1::2])}

    def drain(self):
        """Everything until the server closes."""
        got = self.buf[self.at:]
        self.buf, self.at = b"", 0
        try:
            while piece := self.sock.recv(1 << 18):
                got += piece
        except ConnectionResetError:
            pass
        return got

    def is_closed(self):
        """Closed, with nothing more to read, within the timeout?"""
        return self.drain() == b""


def verdict(reply):
    """The array of 11 as a Verdict; its order and types are checked here."""
    assert isinstance(reply, list) and len(reply) == 11, reply
    for place in (0, 2, 8, 10):
        assert type(reply[place]) is bytes, (place, reply)
    for place in (1, 3, 4, 5, 6, 7, 9):
        assert type(reply[place]) is int, (place, reply)
    v = Verdict(*[x.decode() if isinstance(x, bytes) else x for x in reply])
    assert v.word in WORDS, v
    assert v.status == STATUS.get(v.word, 401), v
    return v


# ---- tokens, from the document and not from the code ----

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def xxh32(data):
    """XXH32 with seed 0, from its specification."""
    p = (2654435761, 2246822519, 3266489917, 668265263, 374761393)
    m = 0xFFFFFFFF

    def rot(x, r):
        return (x << r | x >> (32 - r)) & m

    at, n = 0, len(data)
    if n >= 16:
        v = [(p[0] + p[1]) & m, p[1], 0, -p[0] & m]
        while n - at >= 16:
            for i in range(4):
                word = int.from_bytes(data[at:at + 4], "little")
                v[i] = rot((v[i] + word * p[1]) & m, 13) * p[0] & m
                at += 4
        h = sum(rot(v[i], r) for i, r in enumerate((1, 7, 12, 18))) & m
    else:
        h = p[4]
    h = (h + n) & m
    while n - at >= 4:
        word = int.from_bytes(data[at:at + 4], "little")
        h = rot((h + word * p[2]) & m, 17) * p[3] & m
        at += 4
    for byte in data[at:]:
        h = rot((h + byte * p[4]) & m, 11) * p[0] & m
    h = (h ^ h >> 15) * p[1] & m
    h = (h ^ h >> 13) * p[2] & m
    return h ^ h >> 16


def checksum(first58):
    h, text = xxh32(first58.encode()), ""
    for _ in range(6):
        text, h = DIGITS[h % 62] + text, h // 62
    return text


def other_secret(token):
    """The same public part, another secret, a right checksum."""
    first = token[:24] + ("B" if token[24] == "A" else "A") + token[25:58]
    return first + checksum(first)


def mistyped(token, at):
    return token[:at] + ("b" if token[at] == "a" else "a") + token[at + 1:]


# ---- waiting ----

def until(condition, within_s, what, step_s=0.005):
    """Wait until it is true; its value."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(step_s)
    return value


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][1] != "Z"
    except OSError:
        return False


def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- processes ----

class Daemon:
    def __init__(self, site, flags, wrapper, preexec_fn, env, program):
        site.n_daemons += 1
        self.site = site
        self.log_path = site.root / f"log{site.n_daemons}"
        if NO_RING and (wrapper or not WRAP):  # nobody is traced twice
            env = {"JETON_BACKEND": "epoll", **env}
        argv = [*(wrapper or WRAP), program, *map(str, flags)]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, preexec_fn=preexec_fn)
        self.pid = self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def serving(self):
        """Answers INFO with loading:0?"""
        try:
            with Resp(self.site, timeout=5) as c:
                return c.info()["loading"] == "0"
        except (OSError, Closed, KeyError):
            return False

    def wait(self, within_s=20 * PATIENCE):
        def serving():
            assert self.process.poll() is None, \
                f"jetond ended with {self.process.returncode}: {self.log()}"
            return self.serving()
        until(serving, within_s, "loading:0", step_s=0.01)
        until(lambda: all(w["state"] == "serving"
                          for w in self.site.status()["workers"]),
              within_s, "every worker serves", step_s=0.01)
        return self

    def worker_pids(self, doors=("resp",)):
        return [w["pid"] for w in self.site.status()["workers"]
                if w["pid"] and w["door"] in doors]

    def stop(self, sig=signal.SIGTERM, within_s=10 * PATIENCE):
        """Exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(within_s)

    def kill(self):
        self.stop(signal.SIGKILL)


class Site:
    def __init__(self, root):
        self.root = Path(root)
        self.data, self.run = self.root / "d", self.root / "r"
        self.sock = self.run / "jeton.sock"
        self.http = self.run / "jeton-http.sock"
        self.journal = self.data / "journal"
        self.daemons, self.n_daemons = [], 0
        self.said = []  # everything that the admin tool ever said
        self.history = None  # history.History, where it is looked at
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("JETON_")}
        self.env.update(JETON_DATA=str(self.data), JETON_RUN=str(self.run),
                        LC_ALL="C.UTF-8", TZ="UTC", JETON_USER="root")
        if ASAN:  # sanitizers make calls of their own, and look around
            self.env["JETON_INSECURE_DEBUG"] = "1"

    def jetond(self):
        """A copy for other users: the tree may lie where only root may look."""
        return shutil.copy(JETOND, self.root / "jetond")

    def start(self, *flags, wrapper=(), preexec_fn=None, wait=True, env=None,
              program=JETOND):
        daemon = Daemon(self, flags, wrapper, preexec_fn, env or self.env,
                        str(program))
        self.daemons.append(daemon)
        return daemon.wait() if wait else daemon

    def cli(self, *args, input=None, rc=0, wrapper=(), stdout=None, **kw):
        """Run jeton; RC None: any exit code will do."""
        kw.setdefault("env", self.env)
        kw.setdefault("timeout", 60 * PATIENCE)
        if isinstance(input, str):
            input = input.encode()
        begin = time.monotonic()
        p = subprocess.run(
            [*wrapper, JETON, *map(os.fsencode, map(str, args))],
            input=input, stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE, **kw)
        done = Done(p.returncode, (p.stdout or b"").decode(errors="replace"),
                    p.stderr.decode(errors="replace"))
        if ASAN and args[:1] == ("status",) and done.rc == 1 and \
                "insecure:" in done.err:
            done = done._replace(rc=0, out=re.sub(
                r"(health\W+)red", r"\1ok", done.out))
        self.said.append((args, done))
        if self.history:
            self.history.done(args, done.rc, done.out, begin, time.monotonic())
        assert rc is None or done.rc == rc, (args[:3], done)
        return done

    def create(self, name="a token", *options):
        return self.cli("create", name, *options).out.rstrip("\n")

    def bulk(self, n, *options, name="bulk", columns="name", row="{name} {i}"):
        """N tokens by one `create --from`: their values."""
        self.root.joinpath(f"{name}.csv").write_text(
            columns + "\n" + "".join(row.format(name=name, i=i) + "\n"
                                     for i in range(n)))
        self.cli("create", "--from", self.root / f"{name}.csv",
                 "--out", self.root / f"{name}.out", *options)
        if self.history:
            self.history.values(self.root.joinpath(f"{name}.out").read_text(),
                                time.monotonic(), time.monotonic())
        return values(self.root / f"{name}.out")

    def revoke(self, token, *options, **kw):
        return self.cli("revoke", token[:24], *options, **kw)

    def list(self):
        return [json.loads(x)
                for x in self.cli("list", "--json").out.splitlines()]

    def dump(self):
        return [json.loads(x) for x in
                self.cli("journal", "dump", "--json").out.splitlines()]

    def check(self):
        """`journal check` is content; its receipt."""
        return json.loads(self.cli("journal", "check", "--json").out)["receipt"]

    def status(self):
        """Straight from the control socket: fast enough to poll."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(self.run / "jeton-control.sock"))
            s.sendall(b"STATUS\n")
            line = b""
            while not line.endswith(b"\n"):
                got = s.recv(65536)
                assert got, "control socket closed"
                line += got
        assert line.startswith(b"OK "), line
        status = json.loads(line[3:])
        if ASAN and status["why"].startswith("insecure"):
            status["health"], status["why"] = "ok", ""
        return status

    def client(self, **kw):
        return Resp(self, **kw)

    def verify(self, token, *options):
        with self.client() as c:
            return c.verify(token, *options)

    def word(self, token, *options):
        return self.verify(token, *options).word

    def processes(self):
        """The keeper and its workers."""
        d = self.daemons[-1]
        return [d.pid, *d.worker_pids(("resp", "http"))]

    def everybody(self):
        """The keeper and all that it started, the scribe too."""
        pid = self.daemons[-1].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [pid, *map(int, children.split())]

    def keeper(self):
        """Whom the serving lock names."""
        return int(re.match(r"pid (\d+)\n", (self.data / "serving.lock")
                            .read_text())[1])

    def signal_keeper(self, sig):
        """If that is a jetond."""
        try:
            pid = self.keeper()
            if "jetond" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, sig)
        except (OSError, TypeError):
            pass

    def end(self):
        self.signal_keeper(signal.SIGKILL)  # under strace it is no child
        for d in self.daemons:
            if d.process.poll() is None:
                d.process.kill()
                d.process.wait()


@contextmanager
def a_site():
    root = tempfile.mkdtemp(prefix="jt", dir="/tmp")
    site = Site(root)
    try:
        yield site
    finally:
        site.end()
        shutil.rmtree(root, ignore_errors=True)


VALUE = re.compile(r"\b[a-z]{2,4}_[a-z0-9]{1,6}_[0-9A-Za-z]{52,60}\b")


def values(path):
    """The values in an --out file."""
    return VALUE.findall(Path(path).read_text())


def without_use(rows):
    """Of `list --json`, what only changes change."""
    return [{k: v for k, v in r.items() if "use" not in k} for r in rows]


def lines(text):
    """But for what all daemons say that run under a sanitizer."""
    return [x for x in text.splitlines()
            if x and not (ASAN and "--insecure-debug" in x)]


# ---- clients in other languages ----

def node():
    """Node of at least 20: the machine's, else the one that npm brought."""
    for path in (shutil.which("node"), INTEROP / "node_modules/node/bin/node"):
        if path and os.path.exists(path):
            said = subprocess.run([path, "--version"], capture_output=True,
                                  text=True).stdout
            if int(re.match(r"v(\d+)", said)[1]) >= 20:
                return str(path)
    raise AssertionError("no Node of at least 20: run `make deps-test`")


def example(name):
    """The command that runs it. Node finds packages from where a file lies."""
    if name.endswith(".mjs"):
        for path in EXAMPLES.glob("*.mjs"):
            shutil.copy(path, INTEROP / path.name)
        return [node(), str(INTEROP / name)]
    interpreter = "sh" if name.endswith(".sh") else sys.executable
    return [interpreter, str(EXAMPLES / name)]


def run_example(site, command, token, *args, by_env=False):
    """Let an example verify that token; Done."""
    env = {**site.env, "JETON_SOCK": str(site.sock),
           "JETON_HTTP": str(site.http)}
    if by_env:
        env["JETON_TOKEN"] = token
    p = subprocess.run([*command, *args], input="" if by_env else token + "\n",
                       env=env, capture_output=True, text=True, timeout=60)
    return Done(p.returncode, p.stdout, p.stderr)


# ---- strace: which calls there are, and harm at one of them ----

def strace(calls, out="/dev/null"):
    return ["strace", "-f", "-qq", "-o", str(out), "-e", f"trace={calls}"]


def inject(call, what):
    """strace counts WHEN for each call by itself: so one call at a time."""
    assert "," not in call
    return [*strace(call), "-e", f"inject={call}:{what}"]


def calls_in(trace):
    """[(call, k)] for the k-th of each call of the trace's first process."""
    rows = re.findall(r"^(\d+)\s+(\w+)\(", Path(trace).read_text(), re.M)
    counts, found = {}, []
    for pid, call in rows:
        if pid == rows[0][0]:
            counts[call] = counts.get(call, 0) + 1
            found.append((call, counts[call]))
    return found


def thinned(calls, most):
    """Of a call that comes very often, its first, last, and some between."""
    n = dict(calls)  # the last k of each
    return [(call, k) for call, k in calls
            if n[call] <= most or k <= 3 or k > n[call] - 3 or
            k % (n[call] // most + 1) == 0]
