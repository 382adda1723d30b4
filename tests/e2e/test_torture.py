"""What the system can do to the real binaries, call by call.

Every test has a smoke part for each run and, with JETON_TORTURE=1 (`make
torture-real`), all of it. The seed of what is chosen at random is printed
with a failure. Kills at every write: test_crashes.py, test_compact.py.
"""
import itertools
import os
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path

import pytest

import rig
from rig import lines
from test_crashes import ask_all

LONG = bool(os.environ.get("JETON_TORTURE"))
SEED = int(os.environ.get("JETON_SEED", "6"))
ERRORS = ("EDQUOT", "EFBIG", "EROFS", "EACCES", "EMFILE", "ENOMEM", "EIO",
          "ENOSPC", "EINTR")
CALLS = ("openat", "pread64", "pwrite64", "fdatasync", "fsync", "ftruncate",
         "newfstatat", "fstat", "flock", "renameat", "linkat", "unlinkat",
         "mkdir", "mkdirat", "close")
ENDS = range(0, 80)  # exit codes; a signal is below 0 or above 127


def chosen(cases, smoke):
    """All, or a seeded sample of them."""
    cases = list(cases)
    if LONG or len(cases) <= smoke:
        return cases
    return random.Random(SEED).sample(cases, smoke)


def calls_of(site, *args):
    """[(call, k)] of a command behind those of the loader."""
    trace = site.root / "trace"
    site.cli("--version", wrapper=rig.strace(",".join(CALLS), trace))
    skip = dict(rig.calls_in(trace))
    site.cli(*args, wrapper=rig.strace(",".join(CALLS), trace), rc=None)
    return [(c, k) for c, k in rig.calls_in(trace) if k > skip.get(c, 0)]


# ---- row 17: every error of every call ----

@pytest.mark.unwatched("a revoke whose flush failed may come back")
@pytest.mark.parametrize("verb", ["create", "revoke", "compact"])
def test_any_error_of_any_call_is_no_crash_and_no_false_success(
        site, verb, record_property):
    kept, n = site.create("kept"), 0

    def args():
        if verb == "compact":
            return ["journal", "compact"]
        if verb == "create":
            return ["create", "x"]
        return ["revoke", site.create("gone")[:24], "--offline"]
    cases = itertools.product(calls_of(site, *args()), ERRORS)
    for (call, k), error in chosen(cases, 25):
        what = args()
        done = site.cli(*what, rc=None, wrapper=rig.inject(
            call, f"error={error}:when={k}"))
        said = (call, k, error, done)
        assert done.rc in ENDS, said
        assert error != "EINTR" or call in ("close", "openat") or \
            done.rc == 0, said
        shown = None  # in vain: stdout failed when it was closed
        if done.rc not in (0, 3):
            assert lines(done.err), said
            shown = rig.VALUE.search(done.out)
        if site.cli("create", "next", rc=None).rc == 4:
            site.cli("journal", "rescue")
        site.check()
        status = {x["id"]: x["status"] for x in site.list()}
        assert status[kept[:24]] == "Active"
        assert not shown or status[shown[0][:24]] == "Revoked", said
        if done.rc == 0 and verb == "create":
            assert status[done.out[:24]] == "Active", said
        if done.rc == 0 and verb == "revoke":
            assert status[what[1]] == "Revoked", said
        n += 1
    record_property("figure", f"{n} errors, seed {SEED}")
    site.start("--workers", "1")
    assert site.word(kept) == "VALID"


# ---- row 12: a file that may not grow, at every length ----

def test_short_writes_of_every_length_lose_and_halve_nothing(
        site, record_property):
    site.create("first")
    site.bulk(4090)  # so that the next commits extend the reserve
    size = site.journal.stat().st_size
    end, n = 12288 + 4091 * 256, 0
    for length in chosen(range(size, size + 4 * 256), 15):
        done = site.cli("create", "x", rc=None,
                        wrapper=["prlimit", f"--fsize={length}"])
        assert done.rc in (0, 4), (length, done)
        n += 1
    for length in chosen(range(end, end + 2 * 256), 10):
        limit = ["prlimit", f"--fsize={length}"]
        before = site.list()
        done = site.cli("create", "short", rc=None, wrapper=limit)
        assert done.rc in (0, 4), (length, done)
        assert len(site.list()) == len(before) + (done.rc == 0)
        if site.cli("create", "next", rc=None).rc == 4:
            site.cli("journal", "rescue")
            site.create("next")
        site.check()
        n += 1
    record_property("figure", f"{n} lengths, seed {SEED}")


# ---- row 13: a storm of signals ----

def test_stopped_and_continued_all_the_time_a_command_still_works(served):
    """Every stop ends a slow call early, and the kernel begins it again or
    says EINTR."""
    loop = 'for i in $(seq 24); do "$0" create "$i" || echo FAILED; done'
    run = subprocess.Popen(["sh", "-c", loop, rig.JETON], env=served.env,
                           stdout=subprocess.PIPE, text=True,
                           stderr=subprocess.DEVNULL, process_group=0)
    n = 0
    while run.poll() is None:
        os.killpg(run.pid, signal.SIGSTOP)
        os.killpg(run.pid, signal.SIGCONT)
        n += 1
        time.sleep(0.001)
    tokens = run.stdout.read().split()
    assert len(tokens) == 24 and "FAILED" not in tokens and n > 20
    assert set(ask_all(served, tokens)) == {"VALID"}
    served.check()


# ---- row 24: two writers ----

def test_two_writers_at_once_and_one_of_them_killed(served, record_property):
    chance = random.Random(SEED)
    pairs = 1000 if LONG else 15
    acknowledged, killed = [], 0
    for i in range(pairs):
        kill = i % 3 == 2
        call = chance.choice(("pwrite64", "fdatasync"))
        wrapper = rig.inject(call, f"signal=SIGKILL:when={chance.randint(1, 2)}"
                             ) if kill else []
        both = [subprocess.Popen([*w, rig.JETON, "create", f"{i}"],
                                 env=served.env, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
                for w in ([], wrapper)]
        for p, may_die in zip(both, (False, kill)):
            out = p.communicate(timeout=60)[0]
            assert p.returncode == 0 or (may_die and p.returncode in (-9, 137))
            killed += p.returncode != 0
            if p.returncode == 0:
                acknowledged.append(out.strip())
    assert killed >= pairs // 3 - 1
    ids = [x["id"] for x in served.list()]
    assert len(ids) == len(set(ids))
    assert {t[:24] for t in acknowledged} <= set(ids)
    assert len(acknowledged) <= len(ids) <= 2 * pairs
    assert set(ask_all(served, acknowledged)) == {"VALID"}
    served.check()
    record_property("figure", f"{pairs} pairs, {killed} killed inside, "
                    f"seed {SEED}")


# ---- row 25: who holds the lock is stopped ----

def test_a_stopped_lock_holder_is_told_and_verification_goes_on(served):
    token = served.create("kept")
    holder = subprocess.Popen(
        [*rig.inject("fdatasync", "signal=SIGSTOP:when=1"), rig.JETON,
         "create", "stopped"], env=served.env, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    lock = served.data / "journal.lock"

    def switches():  # of the child that strace holds
        try:
            pid = Path(f"/proc/{holder.pid}/task/{holder.pid}/children"
                       ).read_text().split()[0]
            return pid, Path(f"/proc/{pid}/status").read_text()
        except (OSError, IndexError):
            return None

    def stopped():  # it has not run for a while; no call of it takes so long
        before = switches()
        time.sleep(0.3)
        return int(before[0]) if before and before == switches() else 0
    pid = rig.until(stopped, 10, "the holder is stopped")
    begin = time.monotonic()
    done = served.cli("create", "waits", rc=None)
    took = time.monotonic() - begin
    assert done.rc == 4 and lock.name in done.err and took < 10
    assert served.word(token) == "VALID"
    os.kill(pid, signal.SIGCONT)
    out = holder.communicate(timeout=20)[0]
    assert served.word(out.strip()) == "VALID"
    assert served.word(served.create("next")) == "VALID"


# ---- rows 23, 27: killed and started, over and over ----

def test_killed_and_started_again_over_and_over(site, record_property):
    kept, gone = site.create("kept"), site.create("gone")
    site.revoke(gone, "--offline")
    rounds, worst = 1000 if LONG else 12, 0
    for _ in range(rounds):
        begin = time.monotonic()
        daemon = site.start("--workers", "1", wait=False)
        rig.until(daemon.serving, 5, "serving")
        worst = max(worst, time.monotonic() - begin)
        assert ask_all(site, [kept, gone]) == ["VALID", "REVOKED"]
        daemon.kill()
    assert worst < 1 * rig.PATIENCE
    site.check()
    record_property("figure", f"{rounds} rounds, longest start "
                    f"{worst * 1000:.0f} ms")


# ---- row 28: the follower hears nothing ----

# A user namespace of its own may have none, which slows nothing else down.
DEAF = ["unshare", "-Ur", "sh", "-ec", "echo 0 >"
        '/proc/sys/user/max_inotify_instances; exec "$@"', "sh"]


def hears_changes(pid):
    return any("inotify" in os.readlink(x)
               for x in Path(f"/proc/{pid}/fd").iterdir())


def test_without_inotify_every_commit_is_found_within_its_look(
        site, record_property):
    """No hint of a change, and no SYNC either: the control socket has gone. A
    commit is as old as the file's last write."""
    daemon = site.start("--workers", "1")
    tokens = site.bulk(200 if LONG else 15)
    assert hears_changes(daemon.pid)
    daemon.stop()
    daemon = site.start("--workers", "1", wrapper=DEAF)
    assert not hears_changes(daemon.pid)
    (site.run / "jeton-control.sock").unlink()
    lags = []
    with site.client() as c:
        for t in tokens:
            assert c.verify(t).word == "VALID"
            site.revoke(t, "--offline", rc=3)
            rig.until(lambda: c.verify(t).word == "REVOKED", 2, "in force",
                      step_s=0.001)
            lags.append(time.time() - site.journal.stat().st_mtime)
    middle, longest = statistics.median(lags), max(lags)
    record_property("figure", f"{len(lags)} commits, in force after "
                    f"{middle * 1000:.0f} ms, the longest after "
                    f"{longest * 1000:.0f} ms")
    # one may have waited for a turn of the processor
    assert middle < 0.08 * rig.PATIENCE, sorted(lags)


# ---- row 18: memory ----

@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    so = tmp_path_factory.mktemp("so") / "fail_malloc.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", so,
                    rig.Path(__file__).with_name("fail_malloc.c")], check=True)
    return so


@pytest.mark.skipif(rig.ASAN, reason="the sanitizer has the allocator")
@pytest.mark.parametrize("args", [
    ["create", "x"], ["list", "--json"], ["journal", "check", "--json"],
    ["journal", "compact"]], ids=["create", "list", "check", "compact"])
def test_an_allocation_that_fails_is_told_or_survived(
        site, preload, args, record_property):
    kept, counted = site.create("kept"), site.root / "n"

    def run(n):
        return site.cli(*args, rc=None, env={
            **site.env, "LD_PRELOAD": str(preload), "FAIL_AT": str(n),
            "FAIL_COUNT": str(counted)})
    assert run(0).rc == 0
    total, refused = int(counted.read_text()), 0
    for n in chosen(range(1, total + 1), 15):
        done = run(n)
        assert done.rc in ENDS, (n, done)
        assert done.rc == 0 or lines(done.err), (n, done)
        refused += done.rc != 0
        status = {x["id"]: x["status"] for x in site.list()}
        assert status[kept[:24]] == "Active"
        if done.rc == 0 and args[0] == "create":
            assert status[done.out[:24]] == "Active"
    site.check()
    record_property("figure", f"{total} allocations, {refused} refused")


@pytest.mark.skipif(rig.ASAN, reason="the sanitizer has the allocator")
@pytest.mark.traces
def test_a_daemon_whose_allocation_fails_ends_or_serves(
        site, preload, record_property):
    kept, counted = site.create("kept"), site.root / "n"
    env = {**site.env, "LD_PRELOAD": str(preload), "FAIL_COUNT": str(counted)}
    # who counts writes a file, which nobody may who is shut in
    site.start("--workers", "1", "--insecure-debug", env=env).stop()
    total, served = int(counted.read_text()), 0
    for n in chosen(range(1, total + 1), 10):
        daemon = site.start("--workers", "1", wait=False,
                            env={**env, "FAIL_AT": str(n)})
        rig.until(lambda: daemon.process.poll() is not None or
                  daemon.serving(), 20, "its end, or serving")
        if daemon.process.poll() is None:
            assert site.word(kept) == "VALID"
            served += 1
            daemon.stop()
        assert daemon.process.returncode in ENDS, (n, daemon.log())
    site.start("--workers", "1")
    assert site.word(kept) == "VALID"
    record_property("figure", f"{total} allocations, {served} served on")


# ---- row 16: a read-only file system ----

def test_on_a_read_only_file_system_it_serves_and_says_so(site):
    token = site.create("kept")
    anchor = site.data / "anchor"
    before = anchor.read_bytes()
    flags = f"mount --bind {site.data} {site.data} && " \
        f"mount -o remount,ro,bind {site.data} && exec \"$@\""
    daemon = site.start("--workers", "1", wait=False, wrapper=[
        "unshare", "--mount", "--map-root-user", "sh", "-c", flags, "sh"])
    rig.until(lambda: daemon.process.poll() is not None or
              daemon.serving(), 10, "its end, or serving")
    if daemon.process.poll() is not None:  # refuses in one line
        assert len(lines(daemon.log())) == 1, daemon.log()
    else:
        assert site.word(token) == "VALID"
        site.signal_keeper(signal.SIGTERM)
    assert anchor.read_bytes() == before


@pytest.mark.unwatched("what was not durable may come back")
@pytest.mark.parametrize("error", ["EROFS", "EIO", "ENOSPC"])
def test_writes_that_fail_mid_run_leave_verification_alone(served, error):
    token = served.create("kept")
    for call in ("pwrite64", "openat"):
        done = served.cli("create", "x", rc=None, wrapper=rig.inject(
            call, f"error={error}:when={1 if call == 'pwrite64' else 40}+"))
        assert done.rc in ENDS
        assert served.word(token) == "VALID"
    assert served.word(served.create("next")) == "VALID"


# ---- row 20: what only something outside can tell ----

def test_a_restored_directory_with_its_anchor_is_told_by_a_receipt(site):
    gone = site.create("gone")
    older = {p.name: p.read_bytes() for p in site.data.iterdir()}
    site.revoke(gone, "--offline")
    receipt = site.check()
    for name, data in older.items():
        (site.data / name).write_bytes(data)
    site.cli("journal", "check", "--expect", receipt, rc=4)
