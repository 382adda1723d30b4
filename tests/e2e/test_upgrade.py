"""A new jetond takes over from the one that serves: nobody is refused, no
connection is closed, what was counted stays counted, a revoke that returned
holds in both; and when the new one does not come to serve, the old one goes
on.
"""
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import rig
from test_deny import deny, lock_held, lock_taken

LOOPS = int(os.environ.get("JETON_UPGRADES", 4 if rig.ASAN else 12))
OTHER_LAYOUT = rig.BIN / "tests/jetond-other-layout"
OTHER_METERS = rig.BIN / "tests/jetond-other-meters"


def upgrade(site, rc=0):
    return site.cli("upgrade", rc=rc)


def gone(pid, within_s=20):
    rig.until(lambda: not rig.alive(pid), within_s, f"{pid} has left", 0.01)


def step(site, old=None):
    """One upgrade, to its end; who serves then."""
    old = old or site.keeper()
    upgrade(site)
    gone(old)
    return site.keeper()


def children(pid):
    try:
        return list(map(int, open(
            f"/proc/{pid}/task/{pid}/children").read().split()))
    except OSError:
        return []


def serves_http(site, token):
    try:
        return Plain(site).status(token) == 200
    except OSError:
        return False


class Plain:
    """A connection to the HTTP door that is kept as long as the server says."""

    def __init__(self, site):
        self.path, self.c = str(site.http), None

    def end(self):
        if self.c is not None:
            self.c.close()

    def status(self, token):
        if self.c is None:
            self.c = http.client.HTTPConnection("jeton", timeout=10)
            self.c.sock = socket.socket(socket.AF_UNIX)
            self.c.sock.settimeout(10)
            self.c.sock.connect(self.path)
        self.c.request("GET", "/auth/default",
                       headers={"Authorization": "Bearer " + token})
        r = self.c.getresponse()
        r.read()
        if r.will_close:
            self.c = None
        return r.status


class Watch(threading.Thread):
    """Asks on one connection for ever; every answer with when it was asked."""

    def __init__(self, site, tokens, kind):
        super().__init__(daemon=True)
        self.site, self.tokens, self.kind = site, tokens, kind
        self.over, self.heard, self.error = threading.Event(), [], None

    def ask(self):
        if self.kind == "http":
            plain = Plain(self.site)
            return lambda t: {200: "VALID", 401: "REVOKED"}.get(
                plain.status(t), "?")
        c = self.site.client()
        return lambda t: c.verify(t).word

    def run(self):
        try:
            ask = self.ask()
            while not self.over.is_set():
                for token in list(self.tokens):
                    begun = time.monotonic()
                    self.heard.append((begun, token, ask(token)))
        except Exception as e:
            self.error = f"{type(e).__name__}: {e}"

    def end(self):
        self.over.set()
        self.join(30)
        assert self.error is None, (self.kind, self.error)
        assert self.heard
        return self.heard


def judge(heard, revoked_at, created_at):
    """No word that the acknowledged changes forbid."""
    for begun, token, word in heard:
        if begun > revoked_at.get(token, float("inf")):
            assert word == "REVOKED", (token[:24], word)
        elif token not in revoked_at:
            assert word == "VALID", (token[:24], word, created_at[token])
        else:
            assert word in ("VALID", "REVOKED"), (token[:24], word)
    return len(heard)


@pytest.mark.parametrize("by", ["verb", "signal"])
def test_open_connections_and_what_they_said_go_over(site, by):
    old = site.start("--workers", "2").pid
    token = site.create()
    with site.client(proto=3) as named, site.client() as silent:
        assert named("CLIENT", "SETNAME", "billing") == "OK"
        assert named.verify(token).word == "VALID"
        before = named("CLIENT", "ID")
        if by == "verb":
            done = upgrade(site)
            assert str(site.keeper()) in done.out
        else:
            os.kill(old, signal.SIGUSR2)
        gone(old)
        assert site.keeper() != old
        assert named("CLIENT", "GETNAME") == b"billing"
        assert named("CLIENT", "ID") == before
        assert named.verify(token).word == "VALID"
        site.revoke(token)
        assert named.verify(token).word == silent.verify(token).word == \
            "REVOKED"
    assert site.status()["health"] == "ok"


def test_half_a_command_is_answered_by_whom_it_was_begun_with(site):
    old = site.start("--workers", "1").pid
    token = site.create()
    with site.client() as c:
        request = rig.encode("VERIFY", token)
        c.raw(request[:20])
        time.sleep(0.2)
        upgrade(site)
        time.sleep(0.3)
        assert rig.alive(old), "it must wait for the rest of the command"
        c.raw(request[20:])
        assert rig.verdict(c.read()).word == "VALID"
        gone(old)
        assert c.verify(token).word == "VALID"


def test_meters_go_over(site):
    site.start("--workers", "2")
    rated = site.create("rated", "--rate", "1/h", "--burst", "20")
    quota = site.create("quota", "--quota", "100/day")
    with site.client() as c:
        for left in range(19, 9, -1):
            assert c.verify(rated).remaining == left
        for _ in range(30):
            assert c.verify(quota).word == "VALID"
        for _ in range(3):
            site.create("another line")
        step(site)
        for left in range(9, -1, -1):
            v = c.verify(rated)
            assert (v.word, v.remaining) == ("VALID", left)
        assert c.verify(rated).word == "RATE_LIMITED"
        assert c.verify(quota).remaining == 69
        step(site)
        assert c.verify(rated).word == "RATE_LIMITED"
        assert c.verify(quota).remaining == 68
    shown = site.cli("show", quota[:24], "--json").out
    assert '"uses": 32' in shown or '"uses":32' in shown, shown


def test_purged_lines_and_rotations_do_not_mix_meters(site):
    """Line numbers differ between who followed and who replays."""
    site.start("--workers", "1")
    tokens = [site.create(f"t{i}", "--quota", "50/day") for i in range(12)]
    for t in tokens[::3]:
        site.revoke(t)
    site.cli("purge", "--dead-for", "0s", "--yes", rc=None)
    tokens = [t for i, t in enumerate(tokens) if i % 3]
    later = [site.create(f"l{i}", "--quota", "50/day") for i in range(6)]
    both = tokens + later
    with site.client() as c:
        for n, t in enumerate(both):
            for _ in range(n):
                assert c.verify(t).word == "VALID"
        for _ in range(2):
            step(site)
            for n, t in enumerate(both):
                assert c.verify(t, "COST", "0").remaining == 50 - n, n


# ---- another program in its place ----

@pytest.fixture
def moved(site):
    """jetond at a path of the site's own, so that it may be replaced."""
    path = site.root / "jetond"
    shutil.copy(rig.JETOND, path)
    return path


def replace(path, by):
    shutil.copy(by, f"{path}.new")
    os.chmod(f"{path}.new", 0o755)
    os.rename(f"{path}.new", path)


def compiled(site, body):
    """The keeper may start programs, but no shell for a script."""
    subprocess.run(["gcc", "-x", "c", "-", "-o", site.root / "bad"], text=True,
                   input="#include <unistd.h>\nint main(void) { %s }" % body,
                   check=True)
    return site.root / "bad"


# ---- under load ----

# Who follows whom, round and round.
TURNS = {
    "the same": [rig.JETOND],
    "another layout and back": [OTHER_LAYOUT, rig.JETOND],
    "other meters and back": [OTHER_METERS, rig.JETOND],
}


@pytest.mark.parametrize("turns", TURNS)
def test_loops_under_load_refuse_nobody_and_forget_no_revoke(
        site, moved, turns, record_property):
    site.start("--workers", "2", "--connections", "200", program=moved)
    keep = [site.create(f"keep{i}") for i in range(3)]
    rated = site.create("rated", "--rate", "100/s", "--burst", "100")
    created_at, revoked_at, took = {}, {}, []
    tokens = list(keep)
    for t in tokens:
        created_at[t] = time.monotonic()
    watches = [Watch(site, tokens, k) for k in ("resp", "resp", "http")]
    began = time.monotonic()
    admitted, over = [0], threading.Event()

    def spend():
        with site.client() as c:
            while not over.is_set():
                admitted[0] += c.verify(rated).word == "VALID"

    spender = threading.Thread(target=spend)
    for w in (*watches, spender):
        w.start()
    for n in range(LOOPS):
        old, program = site.keeper(), TURNS[turns][n % len(TURNS[turns])]
        replace(moved, program)
        asked = time.monotonic()
        cli = subprocess.Popen([rig.JETON, "upgrade"], env=site.env,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
        while cli.poll() is None or (cli.returncode == 0 and
                                     rig.alive(old)):
            t = site.create(f"t{n}")
            created_at[t] = time.monotonic()
            tokens.append(t)
            if len(tokens) > 5:
                victim = tokens[3]
                site.revoke(victim)
                revoked_at[victim] = time.monotonic()
                if len(tokens) > 9:
                    tokens.remove(victim)
                    tokens.remove(tokens[3])
        assert cli.returncode == 0, (n, cli.stderr.read())
        took.append(time.monotonic() - asked)
    over.set()
    spender.join(10)
    span = time.monotonic() - began
    n = sum(judge(w.end(), revoked_at, created_at) for w in watches)
    # without the same meters what is spent until the other one serves is spent
    # once more
    most = 1.25 if turns.startswith("other meters") else 1
    assert admitted[0] <= 100 + 100 * span * most + 1
    assert admitted[0] >= 100 * span * 0.5, "meters were spent twice"
    assert site.status()["health"] == "ok"
    site.check()
    took.sort()
    record_property("figure", f"{LOOPS} upgrades ({turns}), {n} verdicts, "
                    f"{len(revoked_at)} revokes: 0 refused, 0 closed, "
                    f"0 resurrected; {took[len(took) // 2]:.3f} s each, "
                    f"at most {took[-1]:.3f}; of 100/s {admitted[0] / span:.1f}"
                    " admitted")


# ---- another layout ----

def test_another_layout_of_identity_is_no_hindrance(site, moved):
    site.start("--workers", "2", program=moved)
    token = site.create()
    rated = site.create("rated", "--rate", "1/h", "--burst", "10")
    with site.client() as c:
        for program in (OTHER_LAYOUT, rig.JETOND):
            before = c.verify(rated).remaining
            replace(moved, program)
            step(site)
            assert c.verify(rated).remaining == before - 1
            assert c.verify(token).word == "VALID"
        site.revoke(token)
        assert c.verify(token).word == "REVOKED"


def test_other_meters_go_on_with_the_figures_of_before(site, moved):
    site.start("--workers", "2", program=moved)
    quota = site.create("quota", "--quota", "50/day")
    rated = site.create("rated", "--rate", "1/h", "--burst", "10")
    left, more = 50, 10
    with site.client() as c:
        for program in (OTHER_METERS, rig.JETOND):
            for _ in range(5):
                assert c.verify(quota).remaining == (left := left - 1)
            assert c.verify(rated).remaining == (more := more - 1)
            site.create("another line")
            replace(moved, program)
            step(site)
        assert c.verify(quota).remaining == left - 1
        assert c.verify(rated).remaining == more - 1
    shown = site.cli("show", quota[:24], "--json").out
    assert '"uses": 11' in shown or '"uses":11' in shown, shown


# ---- when the older one has not room enough ----

def begun(site, token):
    """An HTTP request of which half the body is missing, and that half."""
    body = b'{"token":"%s"}' % token.encode()
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(10)
    c.connect(str(site.http))
    c.sendall(b"POST /v1/verify HTTP/1.1\r\nHost: h\r\n"
              b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:20]))
    return c, body[20:]


@pytest.mark.parametrize("capacity", [100_000, 2_000], ids=["lines", "table"])
def test_more_tokens_than_the_leaving_one_has_room_for(site, capacity):
    """It leaves for an idle HTTP connection: when the lines that it has kept,
    or the table, are too small for what comes it goes at once, and the request
    that it has begun is answered."""
    daemon = site.start("--workers", "1", "--capacity", capacity)
    token, victim = site.create(), site.create()
    plain = Plain(site)
    assert plain.status(token) == 200
    slow, rest = begun(site, token)
    time.sleep(0.1)
    upgrade(site)
    with site.client() as c:
        assert rig.alive(daemon.pid)
        begin = time.monotonic()
        made = []
        maker = threading.Thread(target=lambda: made.extend(site.bulk(3000)))
        maker.start()
        time.sleep(0.3)
        slow.sendall(rest)
        answer = slow.recv(4096)
        assert b" 200 " in answer and b'"VALID"' in answer, answer
        maker.join(30)
        assert len(made) == 3000
        assert time.monotonic() - begin < 10
        c.raw(b"".join(rig.encode("VERIFY", t) for t in made))
        assert {rig.verdict(c.read()).word for _ in made} == {"VALID"}
        site.revoke(victim)
        assert c.verify(victim).word == "REVOKED"
    gone(daemon.pid)
    assert "leaving now" in daemon.log() and " red" not in daemon.log()
    assert site.status()["health"] == "ok"
    with pytest.raises((OSError, http.client.HTTPException)):
        plain.status(token)
    plain.end()
    site.check()


def test_a_few_tokens_more_do_not_hurry_the_leaving_one(site):
    daemon = site.start("--workers", "1")
    plain = Plain(site)
    assert plain.status(site.create()) == 200
    upgrade(site)
    made = site.bulk(500)
    assert [site.word(t) for t in made[::100]] == ["VALID"] * 5
    assert rig.alive(daemon.pid)
    assert [plain.status(made[-1])] == [200]  # its last answer there
    gone(daemon.pid)


# ---- between the estate and serving ----

def held(site):
    """An upgrade of which the newer one stands still when the older has given
    it all, before it serves: both, and the tool that waits."""
    for _ in range(20):
        old = site.keeper()
        ours = set(children(old))
        [scribe] = ours - set(site.processes())
        cli = subprocess.Popen([rig.JETON, "upgrade"], env=site.env,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        [new] = rig.until(lambda: set(children(old)) - ours, 10, "begun")
        while rig.alive(scribe):
            os.kill(new, signal.SIGCONT)
            time.sleep(0.001)
            os.kill(new, signal.SIGSTOP)
            time.sleep(0.02)
        time.sleep(0.05)
        if site.keeper() == old:
            return old, new, cli
        os.kill(new, signal.SIGCONT)
        gone(old)
    assert False, "it was never caught"


# ---- another backend ----

BACKENDS = ["epoll to io_uring", "io_uring to epoll"]
need_both = pytest.mark.skipif(rig.NO_RING, reason="there is one backend here")


class Callers(threading.Thread):
    """Connects, asks once, hangs up, for ever; how long each took."""

    def __init__(self, site, token):
        super().__init__(daemon=True)
        self.site, self.token = site, token
        self.over, self.took, self.error = threading.Event(), [], None

    def run(self):
        try:
            while not self.over.wait(0.003):
                began = time.monotonic()
                word = self.site.word(self.token)
                self.took.append(time.monotonic() - began)
                assert word == "VALID", word
        except Exception as e:
            self.error = f"{type(e).__name__}: {e}"

    def end(self):
        self.over.set()
        self.join(30)
        assert self.error is None, self.error
        return sorted(self.took)


def chosen(site, backend):
    path = site.root / "jetond.conf"
    path.write_text("[jetond]\nworkers = 2\nbackend = "
                    f"{backend.removeprefix('io_')}\n")
    return path


def longest_wait(watch):
    times = [begun for begun, _, _ in watch.end()]
    return max(b - a for a, b in zip(times, times[1:]))


def each_is_let_in_at_once(site, token):
    """Also when nobody else comes who would wake one that is stuck."""
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert site.word(token) == "VALID"
        took.append(time.monotonic() - began)
        time.sleep(0.02)
    assert sorted(took)[10] < 0.05, took


@need_both
@pytest.mark.parametrize("order", BACKENDS)
def test_another_backend_takes_over_and_back(site, order, record_property):
    """Both accept at one listener for a while: nobody is refused or waits, and
    no worker is stuck in an accept for which nobody came."""
    backends = order.split(" to ")
    site.start("--config", chosen(site, backends[0]))
    token = site.create()
    watch = Watch(site, [token], "resp")
    callers = [Callers(site, token) for _ in range(3)]
    for w in (watch, *callers):
        w.start()
    for n in range(LOOPS // 2):
        chosen(site, backends[(n + 1) % 2])
        step(site)
        assert site.status()["backend"] == backends[(n + 1) % 2]
        time.sleep(0.05)
    took = sorted(t for c in callers for t in c.end())
    each_is_let_in_at_once(site, token)
    assert (waited := longest_wait(watch)) < 2
    assert took[-1] < 2
    record_property("figure", f"{LOOPS // 2} upgrades ({order} and back), "
                    f"{len(took)} connections: 0 refused, p99 "
                    f"{took[len(took) * 99 // 100] * 1e3:.1f} ms, at most "
                    f"{took[-1] * 1e3:.0f}; an open one waited at most "
                    f"{waited * 1e3:.0f} ms")
    assert site.status()["health"] == "ok"


@need_both
@pytest.mark.parametrize("order", BACKENDS)
def test_another_backend_that_does_not_come_to_serve_leaves_no_trace(
        site, order):
    """Its workers have the listener before they serve: that of ours goes on
    as it was."""
    before, after = order.split(" to ")
    site.start("--config", chosen(site, before), "--snapshot", "0")
    token = site.create()
    watch = Watch(site, [token], "resp")
    watch.start()
    chosen(site, after)
    old, new, cli = held(site)
    os.kill(new, signal.SIGKILL)
    assert cli.wait(10) == 1
    assert site.keeper() == old
    each_is_let_in_at_once(site, token)
    time.sleep(1.5)  # nobody comes, who would free one that is stuck
    assert longest_wait(watch) < 1
    each_is_let_in_at_once(site, token)
    assert site.status()["backend"] == before


# ---- when one of them ends in between ----

def uses(site, token):
    return int(re.search(r'"uses": ?(\d+)', site.cli(
        "show", token[:24], "--json").out)[1])


def test_told_to_stop_while_another_takes_over_saves_all_counts(site):
    daemon = site.start("--workers", "1", "--snapshot", "0")
    token = site.create()
    with site.client() as c:
        for _ in range(30):
            assert c.verify(token).word == "VALID"
        old, new, cli = held(site)
        for _ in range(12):
            assert c.verify(token).word == "VALID"
    os.kill(old, signal.SIGTERM)
    gone(old)
    assert not rig.alive(new)
    assert cli.wait(10) != 0
    assert "not saved" not in daemon.log()
    site.start("--workers", "1", "--snapshot", "0")
    assert uses(site, token) == 42


def test_the_newer_one_goes_on_alone_once_it_has_the_estate(site):
    site.start("--workers", "1", "--snapshot", "0")
    token, other = site.create(), site.create()
    rated = site.create("rated", "--rate", "1/h", "--burst", "9")
    with site.client() as c:
        for left in range(8, 3, -1):
            assert c.verify(rated).remaining == left
        assert c.verify(token).word == "VALID"
        old, new, cli = held(site)
    os.kill(old, signal.SIGKILL)
    gone(old)
    os.kill(new, signal.SIGCONT)
    rig.until(lambda: site.keeper() == new, 10, "the lock says so")
    assert cli.wait(10) != 0
    site.revoke(other)  # it waits for the workers of before
    assert site.word(other) == "REVOKED" and site.word(token) == "VALID"
    assert site.verify(rated).remaining == 3
    assert site.status()["health"] == "ok"
    step(site)
    assert site.verify(rated).remaining == 2 and uses(site, token) == 2


def test_an_older_one_that_stands_still_confirms_nothing_and_refuses_nobody(
        site):
    site.start("--workers", "1", "--snapshot", "0")
    token, other = site.create(), site.create()
    old, new, cli = held(site)
    os.kill(old, signal.SIGSTOP)
    os.kill(new, signal.SIGCONT)
    rig.until(lambda: site.keeper() == new, 10, "the lock says so")
    assert [site.word(token) for _ in range(20)] == ["VALID"] * 20
    done = site.revoke(other, rc=None)
    assert done.rc not in (0, 5), done
    os.kill(old, signal.SIGCONT)
    gone(old)
    assert cli.wait(10) == 0
    site.revoke(other, rc=None)
    assert site.word(other) == "REVOKED" and site.word(token) == "VALID"
    assert site.status()["health"] == "ok"


def test_who_asks_the_leaving_one_to_revoke_at_once_is_sent_on(site):
    """It was let in before the newer one served; the tool then asks again."""
    daemon = site.start("--workers", "1")
    token = site.create()
    plain = Plain(site)
    assert plain.status(token) == 200
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(5)
        c.connect(str(site.run / "jeton-control.sock"))
        c.sendall(b"SYNC 0\n")
        assert c.recv(100).startswith(b"OK")
        upgrade(site)
        began = time.monotonic()
        c.sendall(b"DENY %s\n" % token[:24].encode())
        assert c.recv(100) == b""
        assert time.monotonic() - began < 1
    assert rig.alive(daemon.pid)
    assert deny(site, token)[1] == 0
    assert site.word(token) == "REVOKED"
    gone(daemon.pid)


# ---- when it does not come to serve ----

BAD = {
    "ends at once": "return 7;",
    "is no program": None,
    "ends without a word": "usleep(500000); return 1;",
    "is a script": "#!/bin/sh\nexit 0\n",
}


@pytest.mark.parametrize("how", BAD)
def test_one_that_does_not_start_changes_nothing(site, moved, how):
    daemon = site.start("--workers", "1", program=moved)
    token = site.create()
    with site.client() as c:
        assert c.verify(token).word == "VALID"
        if how.startswith("is"):
            (site.root / "bad").write_text(BAD[how] or "nonsense\n")
        else:
            compiled(site, BAD[how])
        replace(moved, site.root / "bad")
        done = upgrade(site, rc=1)
        assert str(moved) in done.err and len(rig.lines(done.err)) == 1
        assert site.keeper() == daemon.pid
        assert c.verify(token).word == "VALID"
        site.revoke(token)
        assert c.verify(token).word == "REVOKED"
        assert "this daemon goes on" in daemon.log()
        replace(moved, rig.JETOND)
        step(site)
        assert c.verify(token).word == "REVOKED"


def test_other_settings_hold_from_then_on_and_bad_ones_are_refused(site):
    config = site.root / "jetond.conf"
    config.write_text("[jetond]\nworkers = 2\n")
    daemon = site.start("--config", config)
    token = site.create()
    config.write_text("[jetond]\nworkers = two\n")
    upgrade(site, rc=1)
    assert "workers" in daemon.log().splitlines()[-2]
    assert site.word(token) == "VALID"
    config.write_text("[jetond]\nworkers = 3\n")
    upgrade(site)
    gone(daemon.pid)
    assert len(daemon.worker_pids()) == 3
    assert site.word(token) == "VALID"


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSEGV])
def test_the_older_one_takes_back_what_a_dying_newer_one_had(site, sig):
    daemon = site.start("--workers", "2")
    token, other = site.create("a"), site.create("b")
    plain = Plain(site)
    assert plain.status(token) == 200  # and idles: the old one stays for it
    upgrade(site)
    new = site.keeper()
    assert new != daemon.pid
    third = site.create("c")
    os.kill(new, sig)
    rig.until(lambda: "this daemon goes on" in daemon.log(), 10, "taken back")
    rig.until(lambda: site.keeper() == daemon.pid, 10, "the lock says so")
    rig.until(daemon.serving, 10, "it serves")
    rig.until(lambda: serves_http(site, token), 10, "at the HTTP door, too")
    assert [site.word(t) for t in (token, other, third)] == ["VALID"] * 3
    site.revoke(other)
    assert site.word(other) == "REVOKED"
    plain.end()
    step(site)
    assert site.word(other) == "REVOKED" and site.word(third) == "VALID"


def test_told_to_stop_both_do(site):
    daemon = site.start("--workers", "2")
    token = site.create()
    plain = Plain(site)
    assert plain.status(token) == 200
    upgrade(site)
    new = site.keeper()
    assert rig.alive(daemon.pid) and rig.alive(new)
    os.kill(new, signal.SIGTERM)
    gone(new)
    gone(daemon.pid)
    assert not site.sock.exists()
    site.start()
    assert site.word(token) == "VALID"


def test_a_second_one_waits_until_the_first_is_through(site):
    daemon = site.start("--workers", "1")
    token = site.create()
    plain = Plain(site)
    assert plain.status(token) == 200
    upgrade(site)
    assert "still leaving" in upgrade(site, rc=1).err
    assert plain.status(token) == 200  # its last answer there
    gone(daemon.pid)
    step(site)
    assert site.word(token) == "VALID"


# ---- one writer at any time ----

def clerks(keeper):
    """Its children that work only when nobody else wants to: nice 19."""
    found = []
    children = f"/proc/{keeper}/task/{keeper}/children"
    for pid in map(int, open(children).read().split()):
        try:
            stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        if stat[16] == "19" and stat[0] != "Z":
            found.append(pid)
    return found


def test_a_snapshot_that_is_being_written_ends_before_the_next_one_may(site):
    n = 110_000
    site.bulk(n)
    old = site.start("--capacity", n, "--workers", "1").pid
    rig.until(lambda: clerks(old), 10, "a snapshot is begun", 0.001)
    clerk = clerks(old)[0]
    os.kill(clerk, signal.SIGSTOP)
    plain = Plain(site)  # and idles: the old one stays for it
    assert plain.status(site.create()) == 200
    upgrade(site)
    assert rig.alive(old) and not clerks(old)
    rig.until(lambda: site.status()["snapshot"]["number"] >= n, 60,
              "the newer one wrote it")
    assert plain.status(site.create()) == 200  # its last answer there
    gone(old)
    site.check()


# ---- a revoke that the journal does not take comes first ----

def test_none_begins_while_revokes_wait_for_the_journal(site):
    daemon = site.start("--workers", "1")
    token, other = site.create(), site.create()
    with lock_taken(site):
        assert deny(site, token) == (1, 0)
        done = upgrade(site, rc=1)
        assert "revokes wait for the journal" in done.err
        assert len(rig.lines(done.err)) == 1
        assert site.keeper() == daemon.pid
        assert site.word(token) == "REVOKED" and site.word(other) == "VALID"
    rig.until(lambda: site.status()["health"] == "ok", 5, "recorded")
    step(site)
    assert site.word(token) == "REVOKED" and site.word(other) == "VALID"


def test_a_revoke_without_the_journal_ends_an_upgrade_under_way(site, moved):
    """The new one is slow to come; somebody must revoke and the journal's lock
    is held by one who stands still: in force at once in the one that serves,
    which goes on, and the upgrade has failed in a clear line."""
    daemon = site.start("--workers", "1", program=moved)
    token, other = site.create(), site.create()
    replace(moved, compiled(site, "sleep(20); return 1;"))
    with lock_held(site):
        cli = subprocess.Popen([rig.JETON, "upgrade"], env=site.env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        rig.until(lambda: "to take over" in daemon.log(), 5, "under way")
        time.sleep(0.3)
        assert cli.poll() is None, "it was to be under way"
        began = time.monotonic()
        done = site.revoke(token, rc=None)
        assert done.rc in (0, 5), done
        assert time.monotonic() - began < 6, "it waited for the slow one"
        assert site.word(token) == "REVOKED" and site.word(other) == "VALID"
        _, err = cli.communicate(timeout=10)
        assert cli.returncode == 1 and len(rig.lines(err)) == 1, err
        assert "revoke" in err, err
        assert site.keeper() == daemon.pid
    rig.until(lambda: site.status()["health"] == "ok", 5, "recorded")
    replace(moved, rig.JETOND)
    step(site)
    assert site.word(token) == "REVOKED" and site.word(other) == "VALID"


def test_a_revoke_without_the_journal_makes_the_leaving_one_go(site):
    """It still leaves, for an idle HTTP connection: a revoke that the journal
    does not take is in force in the new one within seconds, and the old one,
    which could not know of it, has gone."""
    old = site.start("--workers", "1").pid
    token, other = site.create(), site.create()
    plain = Plain(site)
    assert plain.status(token) == 200
    upgrade(site)
    assert rig.alive(old)
    with lock_held(site):
        began = time.monotonic()
        done = site.revoke(token, rc=None)
        assert done.rc in (0, 5), done
        assert time.monotonic() - began < 8
        gone(old)  # the kernel may take its time to end it (heir.c)
        assert site.word(token) == "REVOKED" and site.word(other) == "VALID"
        with pytest.raises((OSError, http.client.HTTPException)):
            plain.status(token)
        assert site.status()["pending_revokes"] == 1
    plain.end()
    rig.until(lambda: site.status()["health"] == "ok", 5, "recorded")
    assert site.word(token) == "REVOKED"
