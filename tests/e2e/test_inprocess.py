"""libjeton: verdicts in another process than the daemon's, of the real one.

What is claimed about time is claimed by CLOCK_MONOTONIC, which all processes
share: a call that *began* after something returned must know of it.
"""
import errno
import fcntl
import multiprocessing
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

import rig

EXAMPLES = rig.ROOT / "tests/examples"
LIBRARY = rig.BIN / "libjeton.so.1"
os.environ["JETON_LIBRARY"] = str(LIBRARY)
sys.path.insert(0, str(EXAMPLES))
import verify_ctypes as vc  # noqa: E402

LEASE_S = 0.5

pytestmark = pytest.mark.skipif(
    rig.ASAN, reason="Python cannot load a library that asan was linked into")


@contextmanager
def attached(site, flags=0):
    j = vc.Jeton(site.run, flags)
    try:
        yield j
    finally:
        j.close()


def word(j, token, **options):
    error, v = j.verify(token.encode(), **options)
    assert (error == 0) == (j.word(v) != "LOADING"), (error, j.word(v))
    assert error == 0, os.strerror(-error)
    assert v.flags & vc.BY_SOCKET == 0
    return j.word(v)


# ---- verdicts ----

def as_at_the_socket(j, v, scopes):
    """What the socket would say: jeton.h's struct as the array of 11."""
    notes = [n for bit, n in ((1, "OLD_VALUE"), (2, "EXPIRING"), (4, "NEVER"))
             if v.notes & bit]
    if v.notes & 8:
        notes.append("SCOPE:" + scopes[v.missing])
    return rig.Verdict(j.word(v), v.status, v.id.decode(), v.expires_in_s,
                       v.limit, v.remaining, v.reset_ms, v.retry_after_ms,
                       v.owner.decode(), v.applied, ",".join(notes))


@pytest.fixture(scope="module")
def stocked():
    """A served site and a token of each kind."""
    with rig.a_site() as s:
        s.start("--workers", "1")
        t = {
            "plain": s.create("plain", "--owner", "web"),
            "soon": s.create("soon", "--expires", "2d"),
            "test": s.create("test", "--env", "test"),
            "scoped": s.create("scoped", "--scope", "orders:read",
                               "--scope", "billing:*"),
            "limited": s.create("limited", "--rate", "1/h", "--burst", "5",
                                "--quota", "9/month"),
            "revoked": s.create("revoked"),
            "suspended": s.create("suspended"),
            "expired": s.create("expired", "--expires", "1s"),
            "old": s.create("old"),
        }
        s.revoke(t["revoked"])
        s.cli("suspend", t["suspended"][:24])
        s.cli("rotate", t["old"][:24], "--overlap", "24h")
        t["unknown"] = rig.other_secret(t["plain"])
        t["mistyped"] = rig.mistyped(t["plain"], 30)
        t["blank"] = " " + t["plain"]
        t["cut"] = t["plain"][:63]
        t["empty"] = ""
        t["long"] = t["plain"] * 100
        time.sleep(1.1)
        yield s, t


ASKED = [("plain", {}), ("soon", {}), ("test", {}), ("scoped", {}),
         ("revoked", {}), ("suspended", {}), ("expired", {}), ("old", {}),
         ("unknown", {}), ("mistyped", {}), ("blank", {}), ("cut", {}),
         ("empty", {}),
         ("plain", dict(env="live")), ("plain", dict(env="test")),
         ("plain", dict(env="No Name!")), ("plain", dict(env="")),
         ("scoped", dict(scopes=["orders:read"])),
         ("scoped", dict(scopes=["billing:send", "orders:read"])),
         ("scoped", dict(scopes=["orders:read", "orders:write"])),
         ("plain", dict(scopes=["orders:read"])),
         ("limited", dict(cost=0)), ("limited", dict(cost=6)),
         ("limited", dict(cost=10))]


@pytest.mark.parametrize("name,o", ASKED, ids=lambda x: str(x))
def test_verdict_is_the_one_of_the_socket(stocked, name, o):
    site, t = stocked
    asked = [x for s in o.get("scopes", ()) for x in ("SCOPE", s)]
    if "env" in o:
        asked += ["ENV", o["env"]]
    if "cost" in o:
        asked += ["COST", o["cost"]]
    with attached(site) as j:
        for _ in range(5):  # until both were within one second
            there = site.verify(t[name], *asked)
            error, v = j.verify(t[name].encode(), **o)
            here = as_at_the_socket(j, v, o.get("scopes", ()))
            if here == there:
                break
        assert error == 0 and v.flags == 0
        # what is due in milliseconds goes on between the two
        same = dict(reset_ms=0, retry_after_ms=min(there.retry_after_ms, 0))
        assert here._replace(reset_ms=0, retry_after_ms=min(
            here.retry_after_ms, 0)) == there._replace(**same)


def test_every_word_was_met(stocked):
    site, t = stocked
    with attached(site) as j:
        met = {j.word(j.verify(t[n].encode(), **o)[1]) for n, o in ASKED}
    assert met == set(rig.WORDS) - {"LOADING"}


def test_too_long_a_value_is_malformed(stocked):
    site, t = stocked
    with attached(site) as j:
        assert word(j, t["long"]) == "MALFORMED"


@pytest.mark.parametrize("o", [
    dict(scopes=["a,b"]), dict(scopes=[""]), dict(scopes=["a b"]),
    dict(scopes=["x" * 49]), dict(scopes=["s"] * 17), dict(cost=1 << 32),
    dict(env="e" * 256)], ids=lambda o: str(o)[:20])
def test_bad_options_are_refused(stocked, o):
    site, t = stocked
    with attached(site) as j:
        error, v = j.verify(t["plain"].encode(), **o)
    assert error == -errno.EINVAL and j.word(v) == "LOADING"


@pytest.mark.parametrize("n", [1, 31, 32, 33, 200])
def test_batch_answers_in_order(stocked, n):
    site, t = stocked
    names = [x for x, _ in ASKED[:13]] * (n // 13 + 1)
    with attached(site) as j:
        error, v = j.batch([t[x].encode() for x in names[:n]])
        assert error == 0
        assert [j.word(x) for x in v] == [word(j, t[x]) for x in names[:n]]
        assert [x.id.decode() for x in v[:n] if x.word == vc.VALID] == \
            [t[x][:24] for x, y in zip(names, v) if y.word == vc.VALID]


def test_scope_and_cost_hold_for_a_whole_batch(stocked):
    site, t = stocked
    with attached(site) as j:
        _, v = j.batch([t["scoped"].encode(), t["plain"].encode()],
                       scopes=["orders:read"])
        assert [j.word(x) for x in v] == ["VALID", "INSUFFICIENT_SCOPE"]
        assert v[1].missing == 0


def test_examples_say_what_the_socket_says(stocked, tmp_path):
    site, t = stocked
    program = tmp_path / "verify"
    subprocess.run(
        ["gcc", "-Wall", "-Werror", f"-I{rig.ROOT}/shm",
         EXAMPLES / "verify.c", rig.BIN / "libjeton.a", "-lsodium",
         "-lxxhash", "-lhiredis", "-o", program], check=True)
    for argv in ([program], [sys.executable, EXAMPLES / "verify_ctypes.py"]):
        for name, rc in ("plain", 0), ("revoked", 1), ("unknown", 1):
            v = site.verify(t[name], "COST", 0)
            p = subprocess.run([*map(str, argv), str(site.run)],
                               input=t[name].encode(), stdout=subprocess.PIPE)
            assert p.returncode == rc
            assert p.stdout.decode() == \
                f"{v.word} {v.status} {v.id} {v.owner}\n"
        p = subprocess.run([*map(str, argv), str(site.root)], input=b"",
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert p.returncode not in (0, rig.STATUS["VALID"]) and not p.stdout
        assert b"no sidecar" in p.stderr


@pytest.mark.parametrize("nm", [["-D", "libjeton.so.1"], ["-g", "libjeton.a"]],
                         ids=["shared", "static"])
def test_library_shows_what_its_header_exports_and_no_more(nm):
    header = (rig.ROOT / "shm/jeton.h").read_text()
    wanted = set(re.findall(r"^JETON_EXPORT [^;(]*?(\w+)\(", header, re.M))
    shown = subprocess.run(["nm", nm[0], "--defined-only", rig.BIN / nm[1]],
                           stdout=subprocess.PIPE, check=True).stdout.decode()
    assert len(wanted) == 8
    assert set(re.findall(r"^[0-9a-f]+ \w (\w+)$", shown, re.M)) == wanted


def test_header_is_plain_c_and_cplusplus(tmp_path):
    source = tmp_path / "h.c"
    source.write_text('#include "jeton.h"\nint unused(void);\n')
    for compiler in (["gcc", "-std=c99"], ["gcc", "-std=c17"],
                     ["clang", "-xc++", "-std=c++11"]):
        subprocess.run([*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                        f"-I{rig.ROOT}/shm", "-fsyntax-only", source],
                       check=True)


# ---- limits are one and the same ----

def spend_here(run, token, n, out):
    j = vc.Jeton(run)
    out.put(sum(j.verify(token)[1].word == vc.VALID for _ in range(n)))


def spend_there(sock, token, n, out):
    class Here:
        pass
    here = Here()
    here.sock = sock
    with rig.Resp(here) as c:
        out.put(sum(c("VERIFY", token)[0] == b"VALID" for _ in range(n)))


@pytest.mark.parametrize("limit", [
    ("--quota", "1000/month"), ("--rate", "1/h", "--burst", "1000"),
    ("--rate", "1/h", "--burst", "1000", "--quota", "1000/month")],
    ids=["quota", "rate", "both"])
def test_a_limit_is_shared_exactly(served2, limit):
    token = served2.create("x", *limit).encode()
    out = multiprocessing.Queue()
    crowd = [multiprocessing.Process(target=f, args=(where, token, n, out))
             for f, where, n in ((spend_here, served2.run, 600),
                                 (spend_here, served2.run, 600),
                                 (spend_there, served2.sock, 400),
                                 (spend_there, served2.sock, 400))]
    for p in crowd:
        p.start()
    got = [out.get(timeout=60) for _ in crowd]
    for p in crowd:
        p.join()
    assert sum(got) == 1000, got
    with attached(served2) as j:
        assert word(j, token.decode()) in ("RATE_LIMITED", "QUOTA_EXCEEDED")


def test_uses_are_counted_and_saved(served):
    token = served.create()
    with attached(served) as j:
        for _ in range(7):
            assert word(j, token) == "VALID"
        served.cli("suspend", token[:24])
        assert word(j, token) == "SUSPENDED"
        served.cli("resume", token[:24])
    served.daemons[0].stop()
    served.start("--workers", "1")
    shown = served.cli("show", token[:24], "--json").out
    assert re.search(r'"uses": ?7\b', shown), shown


def test_who_only_looks_spends_nothing(served):
    token = served.create("x", "--rate", "1/h", "--burst", "3")
    with attached(served, vc.LOOK) as j:
        for _ in range(9):
            error, v = j.verify(token.encode(), cost=3)
            assert (error, j.word(v), v.flags) == (0, "VALID", vc.LOOKED)
            assert v.remaining == 3
    with attached(served) as j:
        assert [word(j, token) for _ in range(4)] == \
            ["VALID"] * 3 + ["RATE_LIMITED"]


# ---- what has happened is known ----

class Hammer:
    """A process that verifies TOKENS in turn without pause, and remembers of
    each when the last call began that found it VALID."""

    def __init__(self, run, tokens, flags=0):
        self.stop = multiprocessing.Event()
        self.ready = multiprocessing.Event()
        self.out = multiprocessing.Queue()
        self.process = multiprocessing.Process(
            target=self.work, args=(run, tokens, flags), daemon=True)
        self.process.start()
        assert self.ready.wait(20)

    def work(self, run, tokens, flags):
        j = vc.Jeton(run, flags)
        last, last_by_memory, words, errors = {}, 0.0, {}, set()
        values = [t.encode() for t in tokens]
        while not self.stop.is_set():
            for t in values:
                began = time.monotonic()
                error, v = j.verify(t)
                words[v.word] = words.get(v.word, 0) + 1
                errors.add(error)
                if v.word == vc.VALID:
                    last[t.decode()] = began
                    if not v.flags & vc.BY_SOCKET:
                        last_by_memory = began
            self.ready.set()
        self.out.put((last, last_by_memory, {j.word(vc.Verdict(word=w)): n
                                             for w, n in words.items()},
                      errors))

    def end(self):
        self.stop.set()
        got = self.out.get(timeout=30)
        self.process.join()
        return got


def test_revoke_that_returned_is_known_to_every_call_after(served):
    tokens = served.bulk(200)
    hammer = Hammer(served.run, tokens)
    done = {}
    for i, t in enumerate(tokens):
        served.revoke(t)
        done[t] = time.monotonic()
    last, _, words, errors = hammer.end()
    assert errors == {0} and set(words) == {"VALID", "REVOKED"}, words
    assert set(last) == set(tokens), "some were never VALID"
    late = {t: last[t] - done[t] for t in tokens if last[t] > done[t]}
    assert not late, late


def test_killed_keeper_is_noticed_within_the_lease(site):
    daemon = site.start("--workers", "1")
    token = site.create()
    hammer = Hammer(site.run, [token])
    time.sleep(0.2)
    before = time.monotonic()
    daemon.kill()
    killed = time.monotonic()
    time.sleep(2 * LEASE_S)
    last, last_by_memory, words, errors = hammer.end()
    assert last[token] > before - 0.1, "it was believed until then"
    assert last[token] <= killed + LEASE_S, last[token] - killed
    assert words["LOADING"] > 0
    assert errors - {0, -errno.ECONNREFUSED, -errno.ECONNRESET,
                     -errno.EPIPE} == set()


def listens(site):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(site.run / "jeton-control.sock")) == 0


@pytest.mark.parametrize("time_", range(3))
def test_successor_of_a_killed_keeper_promises_nothing_too_early(site, time_):
    site.start("--workers", "1")
    tokens = site.bulk(20)
    hammer = Hammer(site.run, tokens)
    site.daemons[-1].kill()
    killed = time.monotonic()
    assert "\nattached " in (site.data / "serving.lock").read_text()
    site.start("--workers", "1", wait=False)
    rig.until(lambda: listens(site), 5, "it begins", step_s=0.002)
    done = {}
    for t in tokens:
        site.revoke(t)
        done[t] = time.monotonic()
    last, _, words, _ = hammer.end()
    # not before the lease is over that the first keeper gave last
    assert min(done.values()) > killed + LEASE_S * 0.7
    late = {t: last[t] - done[t] for t in last if last[t] > done[t]}
    assert not late, late
    assert words["VALID"] > 0


def test_successor_that_is_killed_too_leaves_the_hold_to_the_next(site):
    site.start("--workers", "1")
    token = site.create()
    with attached(site) as j:
        assert word(j, token) == "VALID"
        site.daemons[-1].kill()
        began = time.monotonic()
        site.start("--workers", "1", wait=False)
        rig.until(lambda: listens(site), 5, "it begins", step_s=0.002)
        site.daemons[-1].kill()
        site.start("--workers", "1", wait=False)
        rig.until(lambda: listens(site), 5, "and again", step_s=0.002)
        site.revoke(token)
        assert time.monotonic() - began > LEASE_S * 0.7
        assert j.word(j.verify(token.encode())[1]) != "VALID"


@pytest.mark.parametrize("how", ["nobody attached", "stopped"])
def test_nothing_is_held_back_without_need(site, how):
    site.start("--workers", "1")
    token = site.create()
    if how == "stopped":
        with attached(site) as j:
            assert word(j, token) == "VALID"
            assert "\nattached " in (site.data / "serving.lock").read_text()
            site.daemons[-1].stop()
    else:
        site.daemons[-1].kill()
    assert "attached" not in (site.data / "serving.lock").read_text()
    site.start("--workers", "1", wait=False)
    rig.until(lambda: listens(site), 5, "it begins", step_s=0.002)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(site.run / "jeton-control.sock"))
        s.settimeout(10)
        began = time.monotonic()
        s.sendall(b"SYNC 1\n")
        assert s.recv(64).startswith(b"OK ")
        assert time.monotonic() - began < LEASE_S * 0.7


def test_clean_stop_ends_it_at_once(site):
    daemon = site.start("--workers", "1")
    token = site.create()
    hammer = Hammer(site.run, [token])
    time.sleep(0.2)
    assert daemon.stop() == 0
    stopped = time.monotonic()
    time.sleep(0.2)
    last, _, words, _ = hammer.end()
    assert words["LOADING"] > 0 and last[token] <= stopped


def test_restart_is_followed(site):
    kept, gone = [None] * 4, [None] * 4
    site.start("--workers", "1")
    for i in range(4):
        kept[i], gone[i] = site.create(), site.create()
    with attached(site) as j:
        for i, sig in enumerate([signal.SIGTERM, signal.SIGKILL] * 2):
            assert word(j, kept[i]) == word(j, gone[i]) == "VALID"
            everybody = site.everybody()
            site.daemons[-1].stop(sig)
            rig.until(lambda: not any(map(rig.alive, everybody)), 10,
                      "nobody holds the lock")
            site.revoke(gone[i], "--offline")
            site.start("--workers", "1")
            # nobody promised that this is in force: until the lease is over
            # the killed keeper's memory is believed

            def anew():
                error, v = j.verify(gone[i].encode())
                return j.word(v) == "REVOKED" and not v.flags
            rig.until(anew, LEASE_S + 2, "the new memory")
            assert word(j, kept[i]) == "VALID"


def by_memory(j, token):
    error, v = j.verify(token.encode())
    return error == 0 and not v.flags


def maps_of(pid, name):
    return len(re.findall(name, rig.Path(f"/proc/{pid}/maps").read_text()))


def test_old_memory_is_given_back(site):
    site.start("--workers", "1")
    token = site.create()
    fds = rig.fd_count(os.getpid())
    with attached(site) as j:
        for _ in range(3):
            site.daemons[-1].stop()
            assert j.word(j.verify(token.encode())[1]) == "LOADING"
            site.start("--workers", "1")
            rig.until(lambda: by_memory(j, token), 3, "anew")
            assert maps_of(os.getpid(), "memfd:jeton-identity") == 1
            assert maps_of(os.getpid(), "memfd:jeton-meters") == 1
        assert rig.fd_count(os.getpid()) == fds
    assert maps_of(os.getpid(), "memfd:jeton") == 0


def test_stopped_keeper_is_not_believed_and_the_workers_are_asked(site):
    daemon = site.start("--workers", "1")
    token = site.create()
    with attached(site) as j:
        assert word(j, token) == "VALID"
        os.kill(daemon.pid, signal.SIGSTOP)
        time.sleep(LEASE_S + 0.1)
        try:
            took = []
            for _ in range(20):
                began = time.monotonic()
                error, v = j.verify(token.encode())
                took.append(time.monotonic() - began)
                assert (error, j.word(v), v.flags) == (0, "VALID",
                                                       vc.BY_SOCKET)
            assert max(took) < 0.25, "it waited for the keeper"
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        rig.until(lambda: by_memory(j, token), 3, "back")


# ---- no system call ----

PROGRAM = r"""
#include <jeton.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *need[] = {"orders:read"};
	struct jeton_options o = JETON_OPTIONS_INIT;
	struct jeton_token batch[64];
	struct jeton_verdict v[64];
	struct jeton *j;
	int rc = jeton_attach(argv[1], 0, &j), n = 0;

	o.scopes = need, o.n_scopes = 1, o.env = "live";
	for (int i = 0; i < 64; i++)
		batch[i] = (struct jeton_token){argv[2 + i % 4],
						strlen(argv[2 + i % 4])};
	syscall(SYS_getppid);
	for (int i = 0; i < 20000 && !rc; i++) {
		rc |= jeton_verify(j, batch[i % 4].at, batch[i % 4].bytes,
				   i % 3 ? NULL : &o, v);
		n += v->word == JETON_VALID;
	}
	for (int i = 0; i < 100 && !rc; i++)
		rc |= jeton_verify_batch(j, 64, batch, &o, v);
	syscall(SYS_getppid);
	printf("%d %d\n", rc, n);
	jeton_detach(j);
	return rc != 0;
}
"""


def test_verify_makes_no_system_call(site, tmp_path):
    site.start("--workers", "1")
    tokens = [site.create("a", "--scope", "orders:read"),
              site.create("b", "--rate", "100/s", "--quota", "50/month"),
              site.create("c")]
    site.revoke(tokens[2])
    tokens.append("nothing")
    source, program = tmp_path / "p.c", tmp_path / "p"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", f"-I{rig.ROOT}/shm",
                    source, f"-L{rig.BIN}", f"-Wl,-rpath,{rig.BIN}",
                    "-ljeton", "-o", program], check=True)
    trace = tmp_path / "trace"
    p = subprocess.run(["strace", "-f", "-o", trace, program, site.run,
                        *tokens], stdout=subprocess.PIPE, check=True)
    rc, n = map(int, p.stdout.split())
    assert rc == 0 and n > 5000
    calls = re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M)
    marks = [i for i, c in enumerate(calls) if c == "getppid"]
    assert "recvmsg" in calls[:marks[0]], "strace saw nothing"
    between = calls[marks[0] + 1:marks[1]]
    # a machine that was away for half a second has lost its lease
    assert between == [], between[:9]


# ---- who may ----

@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_uid_without_the_right_is_refused_and_may_ask(served):
    token = served.create().encode()
    os.chmod(served.root, 0o755)
    for name in "jeton.sock", "jeton-attach.sock":
        os.chmod(served.run / name, 0o666)  # or it would not get that far
    out = multiprocessing.Queue()

    def child():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            vc.Jeton(served.run)
            out.put("attached")
        except OSError as e:
            out.put(e.errno)
        j = vc.Jeton(served.run, vc.ANYHOW)
        error, v = j.verify(token)
        out.put((error, j.word(v), v.flags))
        out.put(maps_of("self", "memfd:jeton"))
    p = multiprocessing.Process(target=child, daemon=True)
    p.start()
    p.join(20)
    assert out.get(timeout=5) == errno.EACCES
    assert out.get(timeout=5) == (0, "VALID", vc.BY_SOCKET)
    assert out.get(timeout=5) == 0
    assert "\nattached" not in (served.data / "serving.lock").read_text()


def test_handle_is_not_for_a_child(served):
    token = served.create().encode()
    with attached(served) as j:
        assert j.verify(token)[1].word == vc.VALID
        out = multiprocessing.Queue()

        def child():
            error, v = j.verify(token)
            maps = maps_of("self", "memfd:jeton")
            j.lib.jeton_detach(j.handle)
            again = vc.Jeton(served.run)
            out.put((error, v.word, maps, again.verify(token)[1].word))
        multiprocessing.Process(target=child, daemon=True).start()
        assert out.get(timeout=20) == (-errno.ECHILD, 0, 0, vc.VALID)
        assert j.verify(token)[1].word == vc.VALID


def test_clients_that_read_nothing_do_not_hold_up_the_keeper(served):
    token = served.create()
    crowd = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(served.run / "jeton-attach.sock"))
        crowd.append(s)
    began = time.monotonic()
    served.revoke(token)
    assert time.monotonic() - began < 2 * rig.PATIENCE
    with attached(served) as j:
        assert word(j, token) == "REVOKED"
    keeper = served.daemons[0].pid
    rig.until(lambda: rig.fd_count(keeper) < 100, 5, "it holds none of them")
    for s in crowd:
        s.close()


def test_what_a_client_says_is_never_read(served):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(served.run / "jeton-attach.sock"))
        try:
            s.sendall(b"x" * 100000)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was gone before the last byte
    with attached(served) as j:
        assert word(j, served.create()) == "VALID"


def is_readable(s):
    return select.select([s], [], [], 0)[0]


def test_identity_cannot_be_written_by_whoever_has_it(served):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(served.run / "jeton-attach.sock"))
        rig.until(lambda: is_readable(s), 5, "a greeting")
        message, fds, _, _ = socket.recv_fds(s, 64, 4)
    assert len(message) == 24 and len(fds) == 2
    with pytest.raises(OSError):
        os.pwrite(fds[0], b"x", 8192)
    with pytest.raises(OSError):
        os.ftruncate(fds[1], 0)
    for fd in fds:
        os.close(fd)


# ---- a sidecar that is none ----

def memfd(size=65536, seals=0x7):
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, 1033, seals)  # F_ADD_SEALS
    return fd


GREETING = struct.pack("<QIIQ", 0x3148434154544a4a, 3, 2, 0)
FAKES = {
    "nothing": (b"", 0), "no descriptors": (GREETING, 0),
    "one descriptor": (GREETING, 1), "three descriptors": (GREETING, 3),
    "short": (GREETING[:23], 2), "other magic": (b"x" + GREETING[1:], 2),
    "other version": (GREETING[:8] + b"\xff" + GREETING[9:], 2),
    "no right": (GREETING[:12] + b"\0" * 12, 2),
    "a right that there is not": (GREETING[:12] + b"\3" + GREETING[13:], 2),
    "a result": (GREETING[:16] + b"\1" + GREETING[17:], 2),
    "too long": (GREETING + b"x", 2), "a byte of another": (b"\x09", 0),
    "a refusal with descriptors": (b"\x01", 2),
}


@contextmanager
def fake(root, replies, make=memfd):
    """A server at RUN that sends each of REPLIES to one client."""
    run = rig.Path(root) / "f"
    run.mkdir(exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run / "jeton-attach.sock"))
    listener.listen()
    pid = os.fork()
    if pid == 0:
        try:
            for message, n in replies:
                s, _ = listener.accept()
                fds = [make() for _ in range(n)]
                if message:
                    socket.send_fds(s, [message], fds)
                s.close()
        finally:
            os._exit(0)
    listener.close()
    try:
        yield run
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        (run / "jeton-attach.sock").unlink()


def refused(run):
    fds = rig.fd_count(os.getpid())
    with pytest.raises(OSError) as e:
        vc.Jeton(run)
    assert rig.fd_count(os.getpid()) == fds, "a descriptor is left"
    assert maps_of("self", "memfd:x") == 0
    return e.value.errno


@pytest.mark.parametrize("what", FAKES)
def test_a_greeting_that_is_none_is_refused(site, what):
    with fake(site.root, [FAKES[what]]) as run:
        assert refused(run) in ((errno.ECONNRESET,) if what == "nothing"
                                else (errno.EPROTO,))


@pytest.mark.parametrize("make", [
    lambda: os.open("/dev/null", os.O_RDWR),
    lambda: os.open("/etc/passwd", os.O_RDONLY),
    lambda: memfd(0), lambda: memfd(8192, 0), lambda: memfd(8192),
    lambda: memfd(1 << 20, 0x17), lambda: memfd(4096, 0x17),
    lambda: os.pipe()[0]],
    ids=["device", "file", "empty", "unsealed", "writable", "zeros", "small",
         "pipe"])
def test_foreign_descriptors_are_refused(site, make):
    with fake(site.root, [(GREETING, 2)], make) as run:
        assert refused(run) == errno.EPROTO


def test_the_segments_in_the_wrong_order_are_refused(served):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(served.run / "jeton-attach.sock"))
        rig.until(lambda: is_readable(s), 5, "a greeting")
        message, fds, _, _ = socket.recv_fds(s, 64, 4)
    for order in (1, 0), (0, 0), (1, 1):
        picks = iter(order)
        with fake(served.root, [(message, 2)],
                  lambda: fds[next(picks)]) as run:
            assert refused(run) == errno.EPROTO
    for fd in fds:
        os.close(fd)


def test_a_verdict_that_is_none_is_refused(site):
    """The way over the socket believes no more than the other."""
    run = site.root / "f"
    answers = [b"*11\r\n$5\r\nVALID\r\n", b"$5\r\nVALID\r\n", b"+VALID\r\n",
               b"*1000000000\r\n", b"*11\r\n*2000000000\r\n", b"%7\r\n",
               b"-ERR unknown\r\n", b"*11\r\n" + b":1\r\n" * 11,
               b"*11\r\n$5\r\nVALIX\r\n:200\r\n$0\r\n\r\n" + b":0\r\n" * 5 +
               b"$0\r\n\r\n:1\r\n$0\r\n\r\n",
               b"*11\r\n$7\r\nLOADING\r\n:200\r\n$0\r\n\r\n" + b":0\r\n" * 5 +
               b"$0\r\n\r\n:1\r\n$0\r\n\r\n",
               b"*11\r\n$9999\r\n" + b"V" * 9999, b""]
    run.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run / "jeton.sock"))
    listener.listen()
    pid = os.fork()
    if pid == 0:
        try:
            for a in answers:
                s, _ = listener.accept()
                s.recv(4096)
                s.sendall(a)
                select.select([s], [], [], 5)  # the other end has had enough
        finally:
            os._exit(0)
    j = vc.Jeton(run, vc.ANYHOW)
    for a in answers:
        began = time.monotonic()
        error, v = j.verify(b"x" * 64)
        assert error in (-errno.EPROTO, -errno.ETIME), (a[:20], error)
        assert j.word(v) == "LOADING" and v.status == 503
        assert time.monotonic() - began < 1
    j.close()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
