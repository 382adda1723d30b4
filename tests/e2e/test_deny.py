"""Emergency deny: a revoke that the journal does not take is in force all the
same, outlives crashes, and comes into the journal later.

Disks are full, read-only or failing for real: a small tmpfs or a read-only
mount in a mount namespace of the test's own, or errors by strace.
"""
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import rig
from rig import lines, until

HOLD = """import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()"""


@contextmanager
def lock_held(site, stopped=True):
    """Another process has the journal's lock, and stands still."""
    p = subprocess.Popen([sys.executable, "-c", HOLD,
                          site.data / "journal.lock"], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == "held\n"
    if stopped:
        p.send_signal(signal.SIGSTOP)
    try:
        yield p
    finally:
        p.kill()
        p.wait()


@contextmanager
def namespace(script, *args):
    """A wrapper that runs what it is given where SCRIPT has mounted."""
    p = subprocess.Popen(["unshare", "-Urm", "sh", "-ec",
                          script + "; echo ready; exec sleep 1000", "sh",
                          *map(str, args)],
                         stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "ready\n"
        yield ["nsenter", "-t", str(p.pid), "-U", "-m",
               "--preserve-credentials"]
    finally:
        p.kill()
        p.wait()


def small_disk(site, size):
    site.data.mkdir(exist_ok=True)
    return namespace('mount -t tmpfs -o "size=$2,mode=700" none "$1"',
                     site.data, size)


def read_only(site):
    return namespace('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"',
                     site.data)


def well(site):
    return site.status()["health"] == "ok"


def fact(site, token, wrapper=()):
    done = site.cli("show", token[:24], "--json", wrapper=wrapper)
    return json.loads(done.out)


def recorded(site, token):
    """Is it revoked in the journal itself?"""
    return any(r["type"] == "revoke" and r.get("id") == token[:24]
               for r in site.dump())


def test_stopped_lock_holder_stops_no_revoke(site):
    """Row 25: others time out with a clear line, the daemon serves, the revoke
    is in force, outlives kill -9, and is recorded with uid and reason."""
    site.start("--workers", "1")
    token, other = site.create(), site.create()
    with lock_held(site):
        done = site.cli("create", "late", rc=4)
        assert "has held" in done.err and "journal.lock" in done.err
        began = time.monotonic()
        done = site.revoke(token, "--reason", "laptop löst", "--json")
        assert time.monotonic() - began < 10
        assert json.loads(done.out) == {
            "id": token[:24], "name": "a token", "status": "Revoked",
            "in_force": True, "durable": True, "recorded": False}
        assert len(lines(done.err)) == 1 and "deny" in done.err
        assert site.word(token) == "REVOKED" and site.word(other) == "VALID"
        status = site.status()
        assert status["health"] == "red" and "in force" in status["why"]
        assert status["pending_revokes"] == 1
        assert site.cli("status", rc=1)
        assert fact(site, token)["status"] == "Revoked"
        site.revoke(token)  # once more is no error
        assert not recorded(site, token)
        site.daemons[-1].kill()
        done = site.cli("journal", "check", "--json")
        assert json.loads(done.out)["pending_revokes"] == 1
        site.start("--workers", "1")
        assert site.word(token) == "REVOKED" and site.word(other) == "VALID"
        assert site.status()["health"] == "red"
    until(lambda: well(site), 5, "recorded once the lock is free")
    past = [json.loads(x) for x in lines(
        site.cli("history", token[:24], "--json").out)]
    assert len(past) == 2 and past[-1]["uid"] == os.getuid()
    assert past[-1]["reason"] == "laptop löst"
    assert json.loads(site.cli("journal", "check", "--json").out)[
        "pending_revokes"] == 0
    assert site.word(token) == "REVOKED"


def test_without_a_keeper_it_stays_an_error(site):
    token = site.create()
    with lock_held(site):
        done = site.revoke(token, "--offline", rc=4)
        assert "has held" in done.err


def test_many_and_leaked_and_chosen_go_the_same_way(site):
    site.start("--workers", "1")
    tokens = site.bulk(300, "--owner", "web")
    leaked, named = site.create(), [site.create() for _ in range(2)]
    with lock_held(site):
        site.cli("revoke", "--owner", "web", "--yes")
        site.cli("revoke", "--leaked", "-", input=f"x {leaked} y")
        site.cli("revoke", *[t[:24] for t in named], "--yes")
        with site.client() as c:
            assert {c.verify(t).word for t in [*tokens, leaked, *named]} == \
                {"REVOKED"}
        assert site.status()["pending_revokes"] == 303
        # the keeper tells, and without one the file does
        assert {x["status"] for x in site.list()} == {"Revoked"}
        assert site.cli("list", "--status", "active", "--json").out == ""
        for verb in ("resume", "suspend", "rotate"):
            site.cli(verb, leaked[:24], rc=4)  # only revokes go this way
    until(lambda: well(site), 10, "recorded")
    assert all(x["status"] == "Revoked" for x in site.list())


def fill(site, ns):
    subprocess.run([*ns, "sh", "-c",
                    f"cat /dev/zero >{site.data}/filler 2>/dev/null; true"],
                   check=True)


def test_full_disk_and_no_reserve_stop_no_revoke(site):
    """Rows 14 and 15: a full tmpfs. Revokes use up the reserve; those that
    come then are kept in `deny`, outlive kill -9, and are recorded when there
    is space."""
    with small_disk(site, "24m") as ns:
        site.start("--workers", "1", wrapper=ns)
        tokens = site_bulk(site, 15000, ns)
        fill(site, ns)
        done = site.cli("create", "--from", site.root / "b.csv", "--out",
                        site.root / "none.out", rc=4, wrapper=ns)
        assert "only revokes" in done.err
        gone, kept = tokens[:-200], tokens[-200:]
        for at in range(0, 15000, 2500):
            done = site.cli("revoke", "--owner", f"o{at}", "--yes",
                            wrapper=ns)
        assert "no room" in done.err
        assert 500 < site.status()["pending_revokes"] < 2500
        site.cli("create", "no room", rc=4, wrapper=ns)
        while "no room" not in done.err or len(kept) == 200:
            done = site.revoke(kept.pop(), wrapper=ns)  # and one alone
        assert "no room" in done.err and len(lines(done.err)) == 1
        assert kept
        gone = tokens[:-200] + tokens[-200 + len(kept):]
        ask_all(site, gone, kept)
        site.daemons[-1].kill()
        site.start("--workers", "1", wrapper=ns)
        ask_all(site, gone, kept)
        assert 500 < site.status()["pending_revokes"] < 2500
        subprocess.run([*ns, "rm", site.data / "filler"], check=True)
        until(lambda: well(site), 20, "recovers when there is space")
        site.cli("create", "room again", wrapper=ns)
        ask_all(site, gone, kept)
        listed = {json.loads(x)["id"]: json.loads(x)["status"] for x in
                  site.cli("list", "--json", wrapper=ns).out.splitlines()}
        assert {listed[t[:24]] for t in gone} == {"Revoked"}


def ask_all(site, gone, kept):
    with site.client() as c:
        assert {c.verify(t).word for t in gone} == {"REVOKED"}
        assert {c.verify(t).word for t in kept} == {"VALID"}


def site_bulk(site, n, ns):
    table, out = site.root / "b.csv", site.root / "b.out"
    table.write_text("name,owner\n" + "".join(
        f"t{i},{'kept' if i >= n - 200 else 'o%d' % (i // 2500 * 2500)}\n"
        for i in range(n)))
    site.cli("create", "--from", table, "--out", out, wrapper=ns)
    return rig.values(out)


def test_no_room_for_the_file_at_start_is_told_and_made_later(site):
    with small_disk(site, "6m") as ns:
        site.start("--workers", "1", wrapper=ns)
        token = site.cli("create", "a", wrapper=ns).out.strip()
        status = site.status()
        assert status["health"] == "red" and "deny" in status["why"]
        subprocess.run([*ns, "mount", "-o", "remount,size=16m", site.data],
                       check=True)
        until(lambda: well(site), 10, "the file is made")
        assert site.word(token) == "VALID"


def test_poisoned_journal_stops_no_revoke_until_the_rescue(site):
    """Row 11 goes on to hold: the keeper leaves a poisoned journal alone; the
    revoke is in force over a restart; after the rescue it is recorded."""
    site.start("--workers", "1")
    token, other = site.create(), site.create()
    done = site.revoke(token, wrapper=rig.inject(
        "fdatasync", "error=EIO:when=1"))
    assert "flush to disk failed" in done.err
    assert site.word(token) == "REVOKED"
    done = site.revoke(other)  # poisoned now
    assert "rescue" in done.err
    time.sleep(1.5)
    assert site.status()["pending_revokes"] == 2
    site.daemons[-1].kill()
    site.start("--workers", "1")
    assert site.word(token) == site.word(other) == "REVOKED"
    assert site.status()["pending_revokes"] == 2
    site.cli("journal", "rescue")
    until(lambda: well(site), 10, "recorded after the rescue")
    assert {x["status"] for x in site.list()} == {"Revoked"}


def test_read_only_tool_side_and_a_denied_token_stays_denied(site):
    """Row 16, mid-run, as the tool meets it: EROFS; the revoke is in force."""
    site.start("--workers", "1")
    token, other = site.create(), site.create()
    with read_only(site) as ns:
        assert "Read-only" in site.cli("create", "x", rc=4, wrapper=ns).err
        site.revoke(token, wrapper=ns)
        assert site.word(token) == "REVOKED"
        assert site.word(other) == "VALID"
    until(lambda: well(site), 5, "the keeper could write all the time")


def test_read_only_at_start_serves_and_says_so(site):
    """Row 16: a read-only data directory is served, red; a revoke is in force,
    but told not to be durable."""
    site.start("--workers", "1")
    token, gone = site.create(), site.create()
    site.revoke(gone)
    site.daemons[-1].stop()
    with read_only(site) as ns:
        site.start("--workers", "1", wrapper=ns)
        assert site.word(token) == "VALID" and site.word(gone) == "REVOKED"
        status = site.status()
        assert status["health"] == "red" and "Read-only" in status["why"]
        done = site.revoke(token, wrapper=ns, rc=5)
        assert "memory" in done.err
        assert site.word(token) == "REVOKED"
        assert "Read-only" in site.cli("create", "x", rc=4, wrapper=ns).err
        site.daemons[-1].stop()
    site.start("--workers", "1")
    assert site.word(token) == "VALID"  # as it was said


def test_failing_flushes_of_the_keeper_make_it_5(site):
    """Nothing that the keeper flushes comes to the disk: exit 5, one line."""
    daemon = site.start("--workers", "1")
    token = site.create()
    with lock_held(site):
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(daemon.pid),
             "-e", "trace=fdatasync,fsync", "-e",
             "inject=fdatasync,fsync:error=EIO"], stderr=subprocess.PIPE)
        until(lambda: "TracerPid:\t0" not in
              open(f"/proc/{daemon.pid}/status").read(), 5, "traced")
        done = site.revoke(token, rc=5)
        assert len(lines(done.err)) == 1 and "memory" in done.err
        assert site.word(token) == "REVOKED"
        tracer.terminate()
        tracer.wait()
        # a file that can be flushed again is made, and takes it
        until(lambda: " 0 of them in memory" in site.status()["why"], 10,
              "kept after all")
    until(lambda: well(site), 5, "recorded")


def test_keeper_killed_at_every_call_of_a_deny(site):
    """SIGKILL at each write and flush of the keeper while it denies, commits
    and clears: acknowledged is denied after the restart, and nobody answers
    VALID once it was acknowledged."""
    calls = ["pwrite64", "fdatasync", "sendto", "fsync", "renameat"]
    site.start("--workers", "1")
    tokens = iter(site.bulk(60))
    acknowledged, killed = [], 0
    for call in calls:
        for k in range(1, 6):
            token = next(tokens)
            daemon = site.daemons[-1]
            with lock_held(site) :
                tracer = subprocess.Popen(
                    ["strace", "-qq", "-o", "/dev/null", "-p",
                     str(daemon.pid), "-e", f"trace={call}", "-e",
                     f"inject={call}:signal=SIGKILL:when={k}"],
                    stderr=subprocess.PIPE)
                # it may be killed at once: by its own anchor
                until(lambda: daemon.process.poll() is not None or
                      "TracerPid:\t0" not in open(
                          f"/proc/{daemon.pid}/status").read(), 5, "traced")
                done = site.revoke(token, rc=None)
                assert done.rc in (0, 4), done
                if done.rc == 0:
                    acknowledged.append(token)
                    if daemon.process.poll() is None:
                        try:
                            assert site.word(token) == "REVOKED"
                        except (OSError, rig.Closed):
                            pass
            time.sleep(0.7)  # the lock is free: it commits and clears
            if daemon.process.poll() is None:
                tracer.terminate()
                tracer.wait()
                continue
            tracer.wait()
            killed += 1
            site.start("--workers", "1")
            with site.client() as c:
                assert {c.verify(t).word for t in acknowledged} <= {"REVOKED"}
            site.check()
    assert killed >= 8 and len(acknowledged) >= 12
    until(lambda: well(site), 5, "all is recorded")
    status = {x["id"]: x["status"] for x in site.list()}
    assert {status[t[:24]] for t in acknowledged} == {"Revoked"}
    print(f"deny: {killed} kills, {len(acknowledged)} acknowledged, 0 lost")


def test_a_record_that_comes_meanwhile_revives_nothing(site):
    """Renewed, rotated or resumed between the deny and its record: it stays
    revoked. The keeper is kept from the journal by an errno of its own."""
    daemon = site.start("--workers", "1")
    tokens = [site.create() for _ in range(3)]
    site.cli("suspend", tokens[1][:24])
    with lock_held(site):
        for t in tokens:
            site.revoke(t)
    # before the keeper's next try others may come
    for t, words in zip(tokens, (["renew", "--expires", "80d"], ["resume"],
                                 ["rename", "new name"])):
        site.cli(words[0], t[:24], *words[1:], rc=None)
    assert {site.word(t) for t in tokens} == {"REVOKED"}
    until(lambda: well(site), 5, "recorded")
    assert {site.word(t) for t in tokens} == {"REVOKED"}
    assert {x["status"] for x in site.list()} == {"Revoked"}
    daemon.kill()
    site.start("--workers", "1")
    assert {site.word(t) for t in tokens} == {"REVOKED"}


def test_growth_and_snapshot_keep_a_deny(site):
    daemon = site.start("--workers", "1", "--capacity", "64")
    token = site.create()
    site.bulk(20, name="some")
    with lock_held(site):
        site.revoke(token)
        daemon.kill()
        daemon = site.start("--workers", "1", "--capacity", "64")
        assert site.word(token) == "REVOKED"
    with lock_held(site, stopped=False):
        pass
    until(lambda: well(site), 5, "recorded")
    site.bulk(300, name="more")
    assert site.word(token) == "REVOKED"
