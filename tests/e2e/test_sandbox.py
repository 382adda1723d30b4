"""What the processes of a daemon can still do, seen from outside; call by call
from inside: tests/test_sandbox.c."""
import ctypes
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

import rig

pytestmark = pytest.mark.skipif(rig.ASAN, reason="sanitizers need their way")
ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="needs root to become another")
NOBODY = 65534


def landlock_version():
    return ctypes.CDLL(None).syscall(ctypes.c_long(444), None,
                                     ctypes.c_size_t(0), ctypes.c_uint(1))


def is_of(pid):
    """/proc/PID/status as a dict."""
    text = Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", text, re.M))


def boxes(site):
    """All that have told: the scribe does after its first round, and figures
    come once a tick."""
    def look():
        rows = {p["process"]: p for p in site.status()["sandbox"]["processes"]}
        told = all(p["open_fds"] for p in rows.values())
        return rows if told and "scribe" in rows else None
    return rig.until(look, 10, "the scribe's layers")


def nobodys(path):
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, NOBODY, NOBODY)


def works(site):
    token = site.create()
    assert site.word(token) == "VALID"
    site.revoke(token)
    assert site.word(token) == "REVOKED"
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(site.http))
        s.sendall(f"GET /auth/default HTTP/1.1\r\nHost: x\r\nAuthorization: "
                  f"Bearer {token}\r\n\r\n".encode())
        assert s.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_every_process_is_shut_in(served2):
    works(served2)
    boxes(served2)
    keeper, *children = served2.everybody()
    assert len(children) == 4  # two workers, HTTP, scribe
    for pid in (keeper, *children):
        status = is_of(pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), pid
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits)
        if pid != keeper or not ROOT:
            for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                assert int(status[name], 16) == 0, (pid, name)


def test_status_tells_the_layers_and_descriptors_of_each(served2):
    rows = boxes(served2)
    assert set(rows) == {"keeper", "worker 0", "worker 1", "http 2", "scribe"}
    there = {"no-new-privs", "no-rights", "no-dump", "no-core", "seccomp"}
    if landlock_version() > 0:
        there.add("landlock")
    for name, row in rows.items():
        want = there - ({"no-rights"} if ROOT and name == "keeper" else set())
        assert set(row["layers"].split()) == want, row
        assert row["open_fds"] > 3, row
        assert abs(row["open_fds"] - rig.fd_count(row["pid"])) <= 3, row
    said = served2.cli("status").out
    assert "worker 0: no-new-privs" in said and "descriptors" in said
    assert not served2.status()["sandbox"]["insecure"]


def test_metrics_tell_the_layers(served):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(served.http))
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
                  b"Connection: close\r\n\r\n")
        text = b""
        while got := s.recv(65536):
            text += got
    for door in ("resp", "http"):
        assert f'jeton_sandbox{{door="{door}",layer="seccomp"}} 1' \
            in text.decode()


def test_a_worker_killed_by_its_filter_is_told_and_replaced(served):
    [daemon] = served.daemons
    [victim] = daemon.worker_pids()
    os.kill(victim, signal.SIGSYS)  # as the kernel does
    rig.until(lambda: daemon.worker_pids() not in ([], [victim]), 5, "another")
    rig.until(lambda: "(SIGSYS)" in daemon.log(), 5, "told")
    [line] = [x for x in rig.lines(daemon.log()) if "SIGSYS" in x]
    assert "worker 0 was killed by signal 31 (SIGSYS): " in line
    rig.until(lambda: daemon.serving(), 5, "serving")
    works(served)


@pytest.mark.traces  # a tracer may have a filter of its own
def test_insecure_debug_is_red_and_told(site):
    daemon = site.start("--workers", "1", "--insecure-debug")
    status = site.status()
    assert status["health"] == "red" and status["sandbox"]["insecure"]
    assert status["why"].startswith("insecure: ")
    done = site.cli("status", rc=1)
    assert "insecure" in done.err
    assert "--insecure-debug: tokens in memory" in daemon.log()
    for pid in site.everybody():
        assert is_of(pid)["Seccomp"] == "0"
    assert site.word(site.create()) == "VALID"


@pytest.mark.parametrize("call", ["seccomp", "landlock_create_ruleset"])
def test_a_layer_that_the_kernel_lacks_is_told_in_one_line(site, call):
    lacks = "landlock" if "landlock" in call else "seccomp"
    # libseccomp asks by prctl(2) where there is no seccomp(2)
    daemon = site.start("--workers", "1",
                        wrapper=rig.inject(call, "error=ENOSYS"))
    works(site)
    rows = boxes(site)
    for name, row in rows.items():
        assert lacks not in row["layers"].split(), row
        assert lacks in row["missing"].split(), row
        assert {"landlock", "seccomp"} - {lacks} <= set(row["layers"].split())
    said = [x for x in rig.lines(daemon.log()) if "goes on without" in x]
    assert len(said) == 1 and lacks in said[0], daemon.log()


def test_a_layer_that_the_kernel_lacks_is_lacking_after_an_upgrade(site):
    site.start("--workers", "1", wrapper=rig.inject("landlock_create_ruleset",
                                                    "error=ENOSYS"))
    old = site.keeper()
    site.cli("upgrade")
    rig.until(lambda: not rig.alive(old), 20, "the older one has left")
    assert "landlock" in boxes(site)["keeper"]["missing"].split()
    works(site)


# ---- the serving lock, which the admin tool believes ----

def held(pid, path):
    """Access modes of all descriptors by which PID has PATH."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if fd.samefile(path):
                info = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text()
                flags = int(re.search(r"^flags:\s*(\d+)", info, re.M)[1], 8)
                found.append(flags & os.O_ACCMODE)
        except FileNotFoundError:
            continue
    return found


def test_nobody_holds_the_lock_by_a_descriptor_that_writes(served2):
    lock = served2.data / "serving.lock"

    def four():
        keeper = served2.keeper()
        pids = Path(f"/proc/{keeper}/task/{keeper}/children").read_text()
        return [keeper, *map(int, pids.split())] if pids.count(" ") == 4 \
            else None

    for upgraded in range(2):
        if upgraded:  # the next one takes it over, and writes its name there
            served2.cli("upgrade")
            rig.until(lambda: not any(map(rig.alive, pids)), 20, "all left")
        works(served2)
        pids = rig.until(four, 10, "two workers, HTTP, the scribe")
        for pid in pids:
            assert held(pid, lock) == [os.O_RDONLY], pid


@pytest.mark.traces
def test_a_file_system_that_locks_for_writers_alone_is_served_from(site):
    """NFS: a descriptor that reads cannot be locked for oneself alone."""
    daemon = site.start("--workers", "2",
                        wrapper=rig.inject("flock", "error=EBADF:when=1"))
    works(site)
    lock = site.data / "serving.lock"
    keeper, *children = site.everybody()
    assert all(held(pid, lock) == [os.O_RDWR] for pid in children)
    assert "SIGSYS" not in daemon.log()


@as_root
def test_a_socket_of_another_user_is_not_asked(site):
    os.chmod(site.root, 0o755)
    nobodys(site.data)
    site.data.chmod(0o700)
    daemon = site.start("--workers", "1", "--user", "nobody",
                        program=site.jetond())
    token = site.create()
    for _ in range(2):  # also after an upgrade it is the one that listened
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(site.run / "jeton-control.sock"))
            cred = s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            assert struct.unpack("3i", cred)[1] == NOBODY
        old = site.keeper()
        site.cli("upgrade")
        rig.until(lambda: not rig.alive(old), 20, "the older one has left")
    path = site.run / "jeton-control.sock"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        os.seteuid(NOBODY - 1)
        try:
            s.listen()
        finally:
            os.seteuid(0)
        done = site.cli("revoke", token[:24], rc=3)
    assert f"{path} is of uid {NOBODY - 1}, " in done.err
    assert daemon


# ---- whom they become ----

@as_root
def test_workers_of_root_become_the_named_user(site):
    daemon = site.start("--workers", "2", "--user", "nobody")
    works(site)
    rows = boxes(site)
    for name, row in rows.items():
        root = name in ("keeper", "scribe")  # the directory is root's
        status = is_of(row["pid"])
        uids = set(status["Uid"].split()) | set(status["Gid"].split())
        assert uids == ({"0"} if root else {str(NOBODY)}), (name, status)
        if not root:
            assert status["Groups"].strip() == ""
    # who died with the keeper still does: changing users had undone it
    pids = site.everybody()
    daemon.kill()
    rig.until(lambda: not any(map(rig.alive, pids)), 3, "all gone")


@as_root
def test_a_killed_worker_of_another_user_is_followed_by_one(site):
    daemon = site.start("--workers", "1", "--user", "nobody")
    [victim] = daemon.worker_pids()
    os.kill(victim, signal.SIGKILL)
    rig.until(lambda: daemon.worker_pids() not in ([], [victim]), 5, "another")
    rig.until(lambda: daemon.serving(), 5, "serving")
    works(site)
    assert daemon.stop() == 0


@as_root
def test_the_keeper_becomes_the_owner_of_the_data_directory(site):
    os.chmod(site.root, 0o755)
    nobodys(site.data)
    site.data.chmod(0o700)
    daemon = site.start("--workers", "1", "--user", "nobody")
    works(site)
    for row in boxes(site).values():
        assert set(is_of(row["pid"])["Uid"].split()) == {str(NOBODY)}, row
        assert "no-rights" in row["layers"].split(), row
    for path in (site.run, site.sock, site.http, *site.data.iterdir()):
        assert path.stat().st_uid == NOBODY, path
    assert daemon.stop() == 0
    assert not site.sock.exists()


@as_root
def test_a_run_directory_of_roots_keeps_the_keeper_root_and_is_told(site):
    os.chmod(site.root, 0o755)
    nobodys(site.data)
    site.data.chmod(0o700)
    site.run.mkdir()
    daemon = site.start("--workers", "1", "--user", "nobody")
    works(site)
    assert f"{site.run} is not of user `nobody`" in daemon.log()
    rows = boxes(site)
    assert is_of(rows["keeper"]["pid"])["Uid"].split()[0] == "0"
    # it writes in that directory alone, so it is who it belongs to
    assert is_of(rows["scribe"]["pid"])["Uid"].split()[0] == str(NOBODY)
    assert daemon.stop() == 0
    assert (site.data / "usage").stat().st_uid == NOBODY


@as_root
def test_without_a_user_of_its_own_one_line_says_so(site):
    del site.env["JETON_USER"]
    daemon = site.start("--workers", "1")
    said = [x for x in rig.lines(daemon.log()) if "stay root" in x]
    if "jeton:" not in Path("/etc/passwd").read_text():
        assert len(said) == 1
    works(site)


def test_a_user_that_is_not_there_is_refused(site):
    daemon = site.start("--user", "no-such-user", wait=False)
    status = daemon.process.wait(10)
    assert status == 78 or not ROOT
    if ROOT:
        assert len(rig.lines(daemon.log())) == 1
        assert "no user `no-such-user`" in daemon.log()


# ---- the directories that are named ----

def test_settings_are_read_again_from_their_directory(site):
    conf = site.root / "conf" / "jetond.conf"
    conf.parent.mkdir()
    conf.write_text("[policy a]\n")
    daemon = site.start("--workers", "1", "--config", conf)
    new = conf.with_suffix(".new")
    new.write_text("[policy a]\n[policy b]\n[peer x]\nuid = root\n")
    os.rename(new, conf)  # as editors do
    daemon.process.send_signal(signal.SIGHUP)
    rig.until(lambda: site.status()["policies"] == 3, 5, daemon.log())


# ---- hostile directories and environments ----

@pytest.mark.parametrize("name", ["serving.lock", "usage", "anchor", "snapshot",
                                  "journal.lock"])
def test_a_symlink_in_the_data_directory_is_not_followed(site, name):
    token = site.create()
    site.start("--workers", "1").stop()
    victim = site.root / "victim"
    victim.write_text("precious")
    path = site.data / name
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    daemon = site.start("--workers", "1", wait=False)
    try:
        rig.until(lambda: daemon.process.poll() is not None or
                  daemon.serving(), 10, "started or refused")
    finally:
        daemon.stop()
    assert victim.read_text() == "precious", name
    assert daemon.log().count("\n") >= 1
    path.unlink(missing_ok=True)
    assert token


def test_a_directory_that_is_a_symlink_to_somebody_elses_is_refused_or_same(
        site):
    real = site.root / "real"
    real.mkdir(mode=0o700)
    site.data.symlink_to(real)
    daemon = site.start("--workers", "1", wait=False)
    rig.until(lambda: daemon.process.poll() is not None or daemon.serving(),
              10, "started or refused")
    if daemon.process.poll() is None:
        works(site)  # the same directory by another name: its files


@pytest.mark.parametrize("env", [
    {"JETON_USER": "a b"}, {"JETON_USER": "-x"}, {"JETON_USER": "x" * 40},
    {"JETON_USER": ""}, {"JETON_USER": "../etc"}, {"JETON_USER": "a\nb"},
    {"JETON_INSECURE_DEBUG": "yes"}, {"JETON_INSECURE_DEBUG": ""},
    {"JETON_WORKERS": "1;rm"}, {"JETON_DATA": "/tmp/\x01x"},
    {"LISTEN_FDS": "99", "LISTEN_PID": "x"},
    {"NOTIFY_SOCKET": "nonsense"}, {"WATCHDOG_USEC": "-1"}])
def test_a_hostile_environment_is_refused_in_one_line(site, env):
    daemon = site.start(wait=False, env={**site.env, **env})
    status = daemon.process.wait(10)
    assert status in (64, 71, 78), (status, daemon.log())
    assert len(rig.lines(daemon.log())) == 1, daemon.log()
    for value in env.values():
        assert len(value) < 4 or value not in daemon.log()


def test_the_loaders_variables_do_not_reach_a_worker(site):
    """A worker is forked, not executed: nothing of them is read again."""
    env = {**site.env, "LD_PRELOAD": "/nonexistent.so", "MALLOC_TRACE": "/x",
           "TZ": "../../../../etc/passwd", "LANG": "xx_XX", "LC_ALL": "xx"}
    daemon = site.start("--workers", "1", env=env)
    works(site)
    assert "SIGSYS" not in daemon.log()
    shutil.rmtree(site.root / "none", ignore_errors=True)
    assert subprocess.run(["true"], env=env, capture_output=True)
