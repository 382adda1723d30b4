"""jetond as a service: notices, passed sockets, the watchdog, the units."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import rig
from rig import lines, until

UNITS = rig.ROOT / "sidecar/systemd"


class Manager:
    """Hears what a service says, as a service manager does."""

    def __init__(self, site):
        self.path = str(site.root / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(0.01)
        self.heard = []  # (when, text)
        self.env = {**site.env, "NOTIFY_SOCKET": self.path}

    def listen(self):
        try:
            while True:
                text = self.sock.recv(4096).decode()
                self.heard.append((time.monotonic(), text))
        except TimeoutError:
            return self.heard

    def words(self, *kinds):
        return [t for _, t in self.listen() if t.split("=")[0] in kinds]

    def wait(self, text, n=1, within_s=10):
        until(lambda: [t for _, t in self.listen()].count(text) >= n,
              within_s, text)


@pytest.fixture
def manager(site):
    return Manager(site)


# ---- notices ----

@pytest.mark.skipif(rig.ASAN, reason="its status is of --insecure-debug")
def test_ready_comes_after_the_replay_and_stopping_before_the_end(site,
                                                                  manager):
    site.cli("init")
    site.bulk(2000)
    daemon = site.start("--workers", "1", env=manager.env, wait=False)

    def ready():
        return "READY=1" in manager.words("READY")
    until(ready, 20, "READY=1", step_s=0)
    status = site.status()
    assert status["state"] == "serving" and status["tokens"] == 2000
    assert status["applied"] == status["committed"]
    until(lambda: any("serving; 2000 tokens" in x
                      for x in manager.words("STATUS")), 5, "the status")
    daemon.process.send_signal(signal.SIGTERM)
    manager.wait("STOPPING=1")
    assert daemon.stop() == 0
    assert manager.words("READY", "STOPPING", "RELOADING") == \
        ["READY=1", "STOPPING=1"]


def test_nothing_is_ready_that_cannot_serve(site, manager):
    site.cli("init")
    raw = bytearray(site.journal.read_bytes())
    raw[100] ^= 1
    site.journal.write_bytes(raw)
    daemon = site.start("--workers", "1", env=manager.env, wait=False)
    assert daemon.process.wait(20) == 74
    assert manager.words("READY") == []


def test_reload_is_told_with_its_time_and_its_end(site, manager):
    daemon = site.start("--workers", "1", env=manager.env)
    manager.wait("READY=1")
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    daemon.process.send_signal(signal.SIGHUP)
    manager.wait("READY=1", n=2)
    said = manager.words("READY", "RELOADING")
    assert said[0] == said[2] == "READY=1" and len(said) == 3
    us = int(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", said[1])[1])
    assert before <= us / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC)


def test_variables_are_not_handed_on(site, manager):
    """What a process began with stays in /proc; so look at what is set."""
    env = {**manager.env, "WATCHDOG_USEC": "60000000"}
    daemon = site.start("--workers", "1", env=env)
    links = [os.readlink(f"/proc/{pid}/fd/{fd}")
             for pid in daemon.worker_pids(("resp", "http"))
             for fd in os.listdir(f"/proc/{pid}/fd")]
    inode = next(x.split()[6] for x in
                 Path("/proc/net/unix").read_text().splitlines()
                 if x.endswith(manager.path))
    assert f"socket:[{inode}]" not in links


@pytest.mark.parametrize("name,value", [
    ("NOTIFY_SOCKET", "relative"), ("NOTIFY_SOCKET", "/" + "x" * 200),
    ("WATCHDOG_USEC", "soon"), ("WATCHDOG_USEC", "0"),
    ("LISTEN_FDS", "-1"), ("LISTEN_FDS", "1000000000"),
    ("LISTEN_FDNAMES", "\x1b[31m:resp")])
def test_hostile_variables_are_refused_in_one_line(site, name, value):
    env = {**site.env, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "resp",
           name: value}
    script = 'export LISTEN_PID=$$; exec "$0"'
    p = subprocess.run(["sh", "-c", script, rig.JETOND], env=env, timeout=20,
                       capture_output=True)
    assert p.returncode == 78 and p.stdout == b""
    assert len(lines(p.stderr.decode())) == 1 and name.encode() in p.stderr
    assert b"\x1b" not in p.stderr


# ---- the watchdog ----

def pings(manager):
    return len(manager.words("WATCHDOG"))


def test_watchdog_is_fed_at_half_its_time_and_not_by_the_stopped(site,
                                                                 manager):
    env = {**manager.env, "WATCHDOG_USEC": "600000"}
    daemon = site.start("--workers", "1", env=env)
    manager.wait("READY=1")
    until(lambda: pings(manager) >= 4, 10 * rig.PATIENCE, "four pings")
    when = [t for t, x in manager.heard if x == "WATCHDOG=1"]
    gaps = [b - a for a, b in zip(when, when[1:])]
    assert min(gaps) > 0.15 and sorted(gaps)[len(gaps) // 2] < 0.6, gaps
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    fed = pings(manager)
    time.sleep(1.5)
    assert pings(manager) == fed
    daemon.process.send_signal(signal.SIGCONT)
    until(lambda: pings(manager) > fed, 10, "fed again")


def test_watchdog_is_not_fed_while_no_worker_serves(site, manager):
    env = {**manager.env, "WATCHDOG_USEC": "200000"}
    daemon = site.start("--workers", "1", env=env)
    until(lambda: pings(manager) >= 2, 10, "fed")
    os.kill(daemon.worker_pids()[0], signal.SIGSTOP)
    time.sleep(5.5)  # as long as a worker may be without a sign of life
    fed = pings(manager)
    time.sleep(1)
    assert pings(manager) == fed
    os.kill(daemon.worker_pids()[0], signal.SIGCONT)
    until(lambda: pings(manager) > fed, 10, "fed again")


# ---- socket activation ----

LAUNCH = """
import os, sys
n = int(sys.argv[1])
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(n)
os.environ["LISTEN_FDNAMES"] = sys.argv[2]
held = [int(x) for x in sys.argv[3].split(",")]
away = [os.dup2(fd, 100 + i) for i, fd in enumerate(held)]
for i, fd in enumerate(away):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
os.closerange(3 + n, 100)
os.execv(sys.argv[4], sys.argv[4:])
"""


class Sockets:
    """Held over restarts, as systemd holds those of a .socket unit."""

    def __init__(self, site, *names):
        site.run.mkdir(mode=0o755, exist_ok=True)
        self.names, self.socks = names, []
        for name in names:
            if name == "http-tcp":
                s = socket.create_server(("127.0.0.1", 0))
            else:
                s = socket.socket(socket.AF_UNIX)
                s.bind(str(site.run / {"resp": "jeton.sock",
                                       "http": "jeton-http.sock",
                                       "attach": "jeton-attach.sock",
                                       "control": "jeton-control.sock"}[name]))
                s.listen(4096)
            self.socks.append(s)

    def start(self, site, *flags, **kw):
        fds = [s.fileno() for s in self.socks]
        return site.start(*flags, wrapper=[
            sys.executable, "-c", LAUNCH, str(len(fds)), ":".join(self.names),
            ",".join(map(str, fds))],
            preexec_fn=lambda: [os.set_inheritable(fd, True) for fd in fds],
            **kw)


@pytest.fixture(autouse=True)
def inherit(monkeypatch):
    """Popen closes what is not standard; the launcher needs the sockets."""
    real = subprocess.Popen

    def popen(*args, **kw):
        if kw.get("preexec_fn"):
            kw["close_fds"] = False
        return real(*args, **kw)
    monkeypatch.setattr(subprocess, "Popen", popen)


def test_passed_sockets_serve_and_stay(site):
    held = Sockets(site, "attach", "resp", "http", "http-tcp", "control")
    inode = site.sock.stat().st_ino
    daemon = held.start(site, "--workers", "1")
    token = site.create("x")
    assert site.word(token) == "VALID"
    for where in (str(site.run / "jeton-http.sock"),
                  held.socks[3].getsockname()):
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        with socket.socket(family) as s:
            s.settimeout(10)
            s.connect(where)
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 200")
    assert daemon.stop() == 0
    assert site.sock.stat().st_ino == inode
    assert sorted(p.name for p in site.run.iterdir()
                  if p.name.endswith("sock")) == [
        "jeton-attach.sock", "jeton-control.sock", "jeton-http.sock",
        "jeton.sock"]
    daemon = held.start(site, "--workers", "1")
    assert site.word(token) == "VALID"


def test_no_connection_is_refused_over_restarts(site):
    held = Sockets(site, "resp")
    daemon = held.start(site, "--workers", "1")
    token = site.create("x")
    refused, served, over = [], [0], threading.Event()

    def go_on():
        while not over.is_set():
            try:
                with rig.Resp(site, timeout=30) as c:
                    # one that came in just before the end may be cut off,
                    # which is not a refusal
                    try:
                        served[0] += c("PING") == "PONG"
                    except (rig.Closed, ConnectionResetError,
                            BrokenPipeError):
                        pass
            except OSError as e:
                refused.append(e)

    clients = [threading.Thread(target=go_on) for _ in range(4)]
    for c in clients:
        c.start()
    for _ in range(4):
        time.sleep(0.2)
        assert daemon.stop() == 0
        before = served[0]
        daemon = held.start(site, "--workers", "1")
        until(lambda: served[0] > before + 10, 20, "served again")
    over.set()
    for c in clients:
        c.join()
    assert not refused, refused[:3]
    assert site.word(token) == "VALID"


def test_who_connects_while_it_is_away_waits_in_the_queue(site):
    held = Sockets(site, "resp")
    with rig.Resp(site, timeout=30) as c:
        c.send("PING")
        held.start(site, "--workers", "1")
        said = c.read()
        assert said == "PONG" or said.startswith("LOADING"), said
    with rig.Resp(site, timeout=30) as c:
        assert c("PING") == "PONG"


def test_systemds_own_launcher_is_understood(site):
    site.run.mkdir(mode=0o755)
    where = site.run / "jeton.sock"
    env = [f"--setenv={k}" for k in ("JETON_DATA", "JETON_RUN",
                                     "JETON_INSECURE_DEBUG", "ASAN_OPTIONS")
           if k in site.env]
    launcher = subprocess.Popen(
        ["systemd-socket-activate", "-l", str(where), "--fdname=resp", *env,
         rig.JETOND, "--workers", "1"], env=site.env,
        stderr=subprocess.DEVNULL)
    try:
        until(where.exists, 10, "it listens")
        with rig.Resp(site, timeout=30) as c:  # this starts jetond
            said = c("PING")
            assert said == "PONG" or said.startswith("LOADING"), said
        until(lambda: site.status()["state"] == "serving", 20, "serving")
    finally:
        launcher.terminate()
        assert launcher.wait(20) == 0
    assert where.exists(), "it was not bound here, so it is not removed here"


# ---- the units ----

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    top = tmp_path_factory.mktemp("i")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(["make", "-s", "install", f"PREFIX={top}",
                    f"FLAVOUR={rig.BIN.name}"], cwd=rig.ROOT, env=env,
                   check=True, capture_output=True)
    return top


def test_unit_is_as_hard_as_it_can_be():
    p = subprocess.run(["systemd-analyze", "security", "--offline=true",
                        "--threshold=7", str(UNITS / "jetond.service")],
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stdout
    level = float(re.search(r"exposure level for \S+: (\S+)", p.stdout)[1])
    assert level <= 0.7


def test_unit_has_nothing_that_fights_sockets_and_callers():
    keys = [x.split("=")[0] for x in
            lines((UNITS / "jetond.service").read_text())
            if not x.startswith(("#", "["))]
    for key in ("RuntimeDirectory", "DynamicUser", "PrivateUsers"):
        assert key not in keys


def test_installed_units_are_understood_by_systemd(installed):
    units = sorted((installed / "lib/systemd/system").iterdir())
    assert [u.name for u in units] == [
        "jeton-notify.service", "jeton-notify.timer", "jetond-attach.socket",
        "jetond-http-tcp.socket", "jetond-http.socket", "jetond.service",
        "jetond.socket"]
    assert {u.stat().st_mode & 0o777 for u in units} == {0o644}
    p = subprocess.run(["systemd-analyze", "verify", "--man=no",
                        *map(str, units)], capture_output=True, text=True)
    assert (p.returncode, p.stdout + p.stderr) == (0, "")


def test_user_and_directories_are_understood(installed):
    sysusers = installed / "lib/sysusers.d/jeton.conf"
    tmpfiles = installed / "lib/tmpfiles.d/jeton.conf"
    p = subprocess.run(["systemd-sysusers", "--dry-run", str(sysusers)],
                       capture_output=True, text=True)
    assert p.returncode == 0 and "jeton" in p.stdout + p.stderr
    root = installed / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n"
                                     "jeton:x:0:0::/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\njeton:x:0:\n")
    subprocess.run(["systemd-tmpfiles", "--create", f"--root={root}",
                    str(tmpfiles)], check=True, capture_output=True)
    assert (root / "run/jeton").stat().st_mode & 0o777 == 0o755
    assert (root / "etc/jeton/jetond.conf").stat().st_mode & 0o777 == 0o640
    p = subprocess.run([rig.JETOND, "--check-config", "--config",
                        str(root / "etc/jeton/jetond.conf")])
    assert p.returncode == 0


def test_sockets_of_the_units_are_the_doors_that_jetond_knows():
    named = {}
    for unit in UNITS.glob("*.socket"):
        text = unit.read_text()
        named[re.search(r"^FileDescriptorName=(.*)$", text, re.M)[1]] = \
            re.search(r"^ListenStream=(.*)$", text, re.M)[1]
        if "/run/jeton" in text:
            assert "SocketMode=0660\n" in text and "SocketGroup=jeton\n" in text
    assert named == {"resp": "/run/jeton/jeton.sock",
                     "http": "/run/jeton/jeton-http.sock",
                     "attach": "/run/jeton/jeton-attach.sock",
                     "http-tcp": "127.0.0.1:9180"}


def calls_of(group):
    """A group's system calls, as far as strace knows them here."""
    text = subprocess.run(["systemd-analyze", "syscall-filter", group],
                          check=True, capture_output=True, text=True).stdout
    names = set()
    for word in text.split("\n"):
        word = word.strip()
        if word.startswith("@") and word != group:
            names |= calls_of(word)
        elif re.fullmatch(r"[a-z0-9_]+", word):
            names.add(word)
    return names


def test_nothing_that_the_unit_forbids_is_needed(site):
    """Its filter answers EPERM to what is tried; seen from outside."""
    known = [c for c in sorted(calls_of("@privileged") |
                               calls_of("@resources"))
             if subprocess.run(["strace", "-e", f"trace={c}", "true"],
                               capture_output=True).returncode == 0]
    assert "capset" in known and "setrlimit" in known
    trace = site.root / "trace"
    calls = ",".join(known)
    wrapper = ["strace", "-f", "-qq", "-o", str(trace), "-e",
               f"trace={calls}", "-e", f"inject={calls}:error=EPERM"]
    if os.geteuid() == 0:  # as the unit's user would be
        shutil.chown(site.root, 65534, 65534)
        os.chmod(site.root, 0o755)
        wrapper = ["setpriv", "--reuid=65534", "--regid=65534",
                   "--clear-groups", "--bounding-set=-all", *wrapper]
    daemon = site.start("--workers", "1", wrapper=wrapper, wait=False,
                        program=site.jetond())
    until(daemon.serving, 30, "serving")
    assert "cannot" not in daemon.log(), daemon.log()
    site.signal_keeper(signal.SIGTERM)
    assert daemon.process.wait(20) == 0
    assert "cannot" not in daemon.log() and "not saved" not in daemon.log()
