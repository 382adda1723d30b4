"""Keeper and workers: crashes, successors, second daemons, clean stops."""
import ctypes
import mmap
import os
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

import rig
from rig import Closed, alive, encode, lines, verdict

pytestmark = pytest.mark.filterwarnings(
    "error::pytest.PytestUnhandledThreadExceptionWarning")


class Load(threading.Thread):
    """Verifies TOKEN on one connection until told to stop or cut off."""

    def __init__(self, site, token):
        super().__init__(daemon=True)
        self.client = site.client()
        self.token, self.stop_asked = token, False
        self.words, self.cut_off = {}, False

    def run(self):
        try:
            while not self.stop_asked:
                self.client.raw(encode("VERIFY", self.token) * 8)
                for _ in range(8):
                    word = verdict(self.client.read()).word
                    self.words[word] = self.words.get(word, 0) + 1
        except (Closed, OSError):
            self.cut_off = True
        self.client.close()

    def hung_up_on(self):
        """Even if the thread had no turn yet to see it."""
        poll = select.poll()
        try:
            poll.register(self.client.sock, 0)
        except ValueError:  # it has, and closed
            return self.cut_off
        return any(e & select.POLLHUP for _, e in poll.poll(0))

    def stop(self):
        self.stop_asked = True
        self.join(20)
        assert not self.is_alive()


def load(site, token, n):
    threads = [Load(site, token) for _ in range(n)]
    for t in threads:
        t.start()
    rig.until(lambda: all(t.words for t in threads), 5, "load under way")
    return threads


def test_killed_worker_is_seen_by_nobody_of_the_other(served2):
    token = served2.create()
    [daemon] = served2.daemons
    threads = load(served2, token, 8)
    victim, survivor = daemon.worker_pids()
    os.kill(victim, signal.SIGKILL)
    rig.until(lambda: victim not in daemon.worker_pids(), 5, "noticed")
    with served2.client() as c:  # anybody may come in meanwhile
        assert c.verify(token).word == "VALID"
    time.sleep(0.5)
    cut = [t for t in threads if t.cut_off]
    for t in threads:
        t.stop()
    assert 2 <= len(cut) <= 6, "not about half of the connections"
    assert {w for t in threads for w in t.words} == {"VALID"}
    assert not any(t.cut_off for t in threads if t not in cut)
    assert survivor in daemon.worker_pids() and alive(survivor)
    assert "killed by signal 9" in daemon.log()


@pytest.mark.parametrize("workers", [1, 2])
def test_new_worker_serves_within_100_ms(site, workers):
    daemon = site.start("--workers", workers)
    token = site.create()
    took = []
    for _ in range(3):
        time.sleep(1.1)  # it has lived long: no back-off
        victim = daemon.worker_pids()[0]
        start = time.monotonic()
        os.kill(victim, signal.SIGKILL)

        def again():
            now = [w for w in site.status()["workers"]
                   if w["state"] == "serving" and w["pid"] != victim and
                   w["door"] == "resp"]
            return len(now) == workers
        rig.until(again, 5, "as many workers as before", step_s=0.002)
        assert site.word(token) == "VALID"
        took.append(time.monotonic() - start)
    assert min(took) < 0.1 * rig.PATIENCE, took


def test_a_worker_that_always_dies_is_restarted_with_back_off(site):
    daemon = site.start("--workers", "1")
    pids, end = set(), time.monotonic() + 1.5
    while time.monotonic() < end:
        for pid in daemon.worker_pids():
            if pid not in pids:
                pids.add(pid)
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    assert 2 <= len(pids) <= 12, f"{len(pids)} starts in 1.5 s"
    rig.until(daemon.serving, 10, "it comes back")


def test_revoke_is_in_force_while_workers_crash(served2):
    tokens = served2.bulk(12)
    [daemon] = served2.daemons
    for i, t in enumerate(tokens):
        pids = daemon.worker_pids()
        if i % 3 == 0 and pids:
            os.kill(pids[i % len(pids)], signal.SIGKILL)
        served2.revoke(t)
        rig.until(daemon.serving, 5, "serving")
        for _ in range(4):
            assert served2.word(t) == "REVOKED"


def test_killed_keeper_takes_its_workers_along_at_once(served2):
    token = served2.create()
    [daemon] = served2.daemons
    workers = daemon.worker_pids()
    threads = load(served2, token, 4)
    daemon.process.kill()
    daemon.process.wait()
    rig.until(lambda: not any(map(alive, workers)), 1, "workers gone")
    for t in threads:
        t.join(5)
        assert t.cut_off and set(t.words) == {"VALID"}


def test_successor_of_a_killed_keeper_gives_the_same_answers(site):
    def shown():  # but for counts, of which a crash may lose some seconds
        counts = ("uses", "refusals", "last_used")
        return [{k: v for k, v in r.items() if k not in counts}
                for r in site.list()]

    tokens = None
    for _ in range(3):
        daemon = site.start("--workers", "2")
        if tokens is None:
            tokens = site.bulk(100)
            for t in tokens[::2]:
                site.revoke(t)
            expected = site.check(), site.dump(), shown()
        assert [site.word(t) for t in tokens] == ["REVOKED", "VALID"] * 50
        assert (site.check(), site.dump(), shown()) == expected
        daemon.kill()  # sockets and lock file stay behind
        assert site.sock.exists()


def test_no_orphan_answers_after_the_successor_acknowledged(site):
    """Kill the keeper under load, start another, revoke: whoever is still
    connected to the old ones may hear nothing more, above all not VALID."""
    daemon = site.start("--workers", "2")
    for _ in range(5):
        token = site.create()
        threads = load(site, token, 4)
        daemon.process.kill()
        daemon.process.wait()
        daemon = site.start("--workers", "2", wait=False)
        rig.until(lambda: site.revoke(token, rc=None).rc == 0, 5, "revoked")
        before = [dict(t.words) for t in threads]
        time.sleep(0.05)
        for t, words in zip(threads, before):
            assert t.words == words and t.hung_up_on()
        assert site.word(token) == "REVOKED"


def test_second_daemon_on_the_same_data_or_sockets_is_refused(site):
    token = site.create()
    site.start("--workers", "1")
    other = site.root / "o"
    refused = [subprocess.Popen([rig.JETOND, *flags], env=site.env,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
               for flags in ([], ["--run", other / "r"],
                             ["--data", other / "d"])]
    for p, named in zip(refused, (site.data, site.data, site.run)):
        out, err = p.communicate(timeout=30)
        assert p.returncode == 78
        said = lines(err)  # it may say first that it waits
        assert len(said) <= 2 and str(named) in said[-1] and not out
        assert "another jetond" in said[-1]
    assert site.word(token) == "VALID"
    assert site.status()["pid"] == site.daemons[0].pid


@pytest.mark.parametrize("leftover", ["socket", "file"])
def test_a_stale_socket_is_no_obstacle(site, leftover):
    site.run.mkdir()
    for name in ("jeton.sock", "jeton-control.sock"):
        if leftover == "file":
            (site.run / name).write_text("x")
            continue
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(site.run / name))
    site.start("--workers", "1")
    assert site.word(site.create()) == "VALID"


def test_sockets_have_the_right_modes_even_under_umask_0(site):
    site.start("--workers", "1", preexec_fn=lambda: os.umask(0))
    site.create()
    def mode(p):
        return p.stat().st_mode & 0o777
    assert mode(site.sock) == 0o660
    assert mode(site.run / "jeton-control.sock") == 0o600
    assert mode(site.data) == 0o700
    for path in site.data.iterdir():
        assert mode(path) & 0o077 == 0, path


MODES = {"jeton.sock": 0o660, "jeton-control.sock": 0o600,
         "jeton-attach.sock": 0o660, "jeton-http.sock": 0o660}


@pytest.mark.traces
def test_a_socket_has_its_mode_before_anybody_can_connect(site):
    """Bound and listening are made to take long: from the first sight on the
    mode is right, and nobody is let in before."""
    site.start("--workers", "1", wait=False, preexec_fn=lambda: os.umask(0),
               wrapper=["strace", "-f", "-qq", "-o", "/dev/null",
                        "-e", "trace=bind,listen",
                        "-e", "inject=bind:delay_exit=50000",
                        "-e", "inject=listen:delay_enter=50000"])
    early, open_ = dict.fromkeys(MODES, 0), set()

    def all_open():
        for name in MODES.keys() - open_:
            path = site.run / name
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    mode = path.lstat().st_mode
                    assert mode == stat.S_IFSOCK | MODES[name], name
                    s.connect(str(path))
                    open_.add(name)
                except FileNotFoundError:
                    pass
                except ConnectionRefusedError:
                    early[name] += 1
        return open_ == MODES.keys()
    rig.until(all_open, 20, "all sockets are open", step_s=0.001)
    assert min(early.values()) > 0, "not seen while nobody could connect"


@pytest.mark.parametrize("taker", ["socket", "file", "nobody"])
def test_a_path_taken_over_is_neither_served_nor_removed(site, taker):
    """Somebody replaces the sockets of a running daemon: who is connected is
    served on, its end leaves theirs alone, and the next daemon has the paths
    back."""
    daemon = site.start("--workers", "1")
    token, theirs = site.create(), []
    with site.client() as c:
        for name in MODES:
            os.unlink(site.run / name)
            if taker == "file":
                (site.run / name).write_text("theirs")
            elif taker == "socket":
                theirs.append(socket.socket(socket.AF_UNIX))
                theirs[-1].bind(str(site.run / name))
                theirs[-1].listen()
        assert c.verify(token).word == "VALID"
        assert daemon.process.poll() is None
        assert daemon.stop() == 0
    for name in MODES:
        path = site.run / name
        if taker == "file":
            assert path.read_text() == "theirs"
        elif taker == "socket":
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(path))
        else:
            assert not path.exists()
    site.start("--workers", "1")
    assert site.word(token) == "VALID"
    for s in theirs:
        s.close()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(served2, sig):
    [daemon] = served2.daemons
    token = served2.create()
    pids = served2.processes()
    held = [served2.client() for _ in range(5)]
    for c in held:
        assert c.verify(token).word == "VALID"
    assert daemon.stop(sig, within_s=3 * rig.PATIENCE) == 0
    assert not any(map(alive, pids))
    assert not served2.sock.exists()
    assert not (served2.run / "jeton-control.sock").exists()
    for c in held:
        assert c.is_closed()
    served2.cli("journal", "check")
    assert lines(daemon.log())[-1].endswith("stopped")


def test_clean_stop_under_load_cuts_no_reply_in_two(served2):
    token = served2.create()
    threads = load(served2, token, 4)
    assert served2.daemons[0].stop() == 0
    for t in threads:
        t.join(5)
        assert t.cut_off and set(t.words) == {"VALID"}
        assert t.client.buf[t.client.at:] == b"", "half a reply"


def test_clean_stop_with_a_client_that_does_not_read(served2):
    token = served2.create()
    c = served2.client(timeout=0.5)
    try:
        while True:
            c.raw(encode("MVERIFY", 500, *[token] * 500))
    except (TimeoutError, OSError):
        pass
    assert served2.daemons[0].stop(within_s=6 * rig.PATIENCE) == 0
    c.close()


def test_workers_share_the_connections_about_evenly_from_the_start(site):
    for _ in range(8):
        daemon = site.start("--workers", "2")
        held = [site.client() for _ in range(60)]
        for c in held:
            assert c("PING") == "PONG"
        counts = [w["connections"] for w in site.status()["workers"]
                  if w["door"] == "resp"]
        assert sum(counts) == 60 and min(counts) >= 24, counts
        for c in held:
            c.close()
        daemon.stop()


# ---- what a worker holds ----

def links(pid):
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            pass
    return found


def slice_ns(pid):
    """How long its turns on a processor are, as sched_getattr(2) has it."""
    attr = ctypes.create_string_buffer(56)
    done = ctypes.CDLL(None, use_errno=True).syscall(
        ctypes.c_long(315), pid, attr, 56, 0)
    assert done == 0, os.strerror(ctypes.get_errno())
    policy, nice = struct.unpack_from("=4xI8xi", attr.raw)
    assert (policy, nice) == (0, os.nice(0))
    return struct.unpack_from("=Q", attr.raw, 24)[0]


@pytest.mark.skipif(os.uname().machine != "x86_64",
                    reason="the number of the system call")
def test_all_processes_ask_for_short_turns(served2):
    if slice_ns(os.getpid()) == 0:
        return  # Linux before 6.12: there is none to be had
    assert slice_ns(os.getpid()) > 100_000
    assert {slice_ns(p) for p in served2.processes()} == {100_000}


def test_a_worker_holds_no_journal_and_no_control_socket(served2):
    with served2.client() as c:
        c("PING")
        keeper, *workers = served2.processes()
        control = {x for x in Path("/proc/net/unix").read_text().splitlines()
                   if x.endswith("/jeton-control.sock") and
                   str(served2.run) in x}
        inodes = {x.split()[6] for x in control}
        assert inodes and len(workers) == 3  # two, and HTTP
        assert any("/journal" in x for x in links(keeper).values())
        for pid in workers:
            held = links(pid)
            assert not any(re.search(r"/(journal|anchor|journal\.lock)$", x)
                           for x in held.values()), held
            assert not {x for x in held.values()
                        if x.strip("socket:[]") in inodes}
            for fd in held:
                if fd <= 2:
                    continue
                info = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
                flags = int(re.search(r"flags:\s*(\d+)", info)[1], 8)
                assert flags & os.O_CLOEXEC, (fd, held[fd])


def test_the_keeper_has_everything_close_on_exec(served2):
    keeper = served2.daemons[0].pid
    for fd, name in links(keeper).items():
        try:
            info = Path(f"/proc/{keeper}/fdinfo/{fd}").read_text()
        except OSError:
            continue  # closed between the list and this look
        flags = int(re.search(r"flags:\s*(\d+)", info)[1], 8)
        assert fd <= 2 or flags & os.O_CLOEXEC, name


def test_identity_is_read_only_in_every_child_and_stays_so(served2):
    keeper, *workers = served2.everybody()
    assert re.search(r" rw-s .*memfd:jeton-identity",
                     Path(f"/proc/{keeper}/maps").read_text())
    for pid in workers:
        mapped = [x for x in Path(f"/proc/{pid}/maps").read_text().splitlines()
                  if "memfd:jeton-identity" in x]
        assert mapped and all(" r--s " in x for x in mapped), mapped
        [fd] = [n for n, x in links(pid).items() if "jeton-identity" in x]
        again = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR)
        try:
            with pytest.raises(PermissionError):
                mmap.mmap(again, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE)
            with pytest.raises(PermissionError):
                os.pwrite(again, b"x", 0)
            with pytest.raises(PermissionError):
                os.ftruncate(again, 0)
        finally:
            os.close(again)


def test_shared_memory_is_sealed_against_shrinking(served2):
    for pid in served2.processes():
        for fd, name in links(pid).items():
            if "memfd:" not in name:
                continue
            again = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR)
            for size in (0, 1 << 40):
                with pytest.raises(PermissionError):
                    os.ftruncate(again, size)
            os.close(again)


def test_the_lock_follows_the_processes_and_not_the_file(site):
    """A lock file left behind is no sidecar: create records for later."""
    daemon = site.start("--workers", "1")
    pids = site.everybody()
    daemon.kill()
    rig.until(lambda: not any(map(alive, pids)), 2, "all of them gone")
    assert (site.data / "serving.lock").exists()
    done = site.cli("create", "x")
    assert "takes effect when the sidecar starts" in done.err


def test_a_stopped_keeper_is_told_and_nothing_is_changed(served):
    """It holds the lock but does not answer: create must not go past it."""
    [daemon] = served.daemons
    token = served.create()
    before = len(served.dump())
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        done = served.cli("create", "y", rc=3, timeout=60)
        assert done.out == "" and len(lines(done.err)) == 1
        assert len(served.dump()) == before
        assert served.word(token) == "VALID"  # workers go on
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert served.word(served.create("z")) == "VALID"


@pytest.fixture(scope="module", autouse=True)
def hung():
    """A revoke while the keeper hangs: it waits while other tests run."""
    with rig.a_site() as site:
        daemon = site.start("--workers", "1")
        site.token = site.create()
        os.kill(daemon.pid, signal.SIGSTOP)
        site.revoking = subprocess.Popen(
            [rig.JETON, "revoke", site.token[:24]], env=site.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        yield site


def test_a_revoke_past_a_hung_keeper_is_recorded_and_says_not_in_force(hung):
    """Runs last in this file: the answer takes its time."""
    out, err = hung.revoking.communicate(timeout=60)
    assert hung.revoking.returncode == 3
    assert len(lines(err)) == 1 and "NOT in force" in err
    assert hung.word(hung.token) == "VALID"  # it said so
    os.kill(hung.daemons[0].pid, signal.SIGCONT)
    rig.until(lambda: hung.word(hung.token) == "REVOKED", 2, "in force")
    hung.cli("revoke", hung.token[:24])


def test_a_client_that_comes_while_a_worker_dies_is_served():
    """The dying worker's ring may be the one that is woken for it."""
    for _ in range(12):
        with rig.a_site() as site:
            daemon = site.start("--workers", "2")
            token = site.create()
            threads = load(site, token, 8)
            victim = daemon.worker_pids()[0]
            os.kill(victim, signal.SIGKILL)
            rig.until(lambda: victim not in daemon.worker_pids(), 5, "noticed")
            with rig.Resp(site, timeout=3 * rig.PATIENCE) as c:
                assert c.verify(token).word == "VALID"
            for t in threads:
                t.stop()
