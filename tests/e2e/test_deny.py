"""Emergency deny: a revoke that the journal does not take is in force all the
same, outlives crashes, and comes into the journal later.

Disks are full, read-only or failing for real: a small tmpfs or a read-only
mount in a mount namespace of the test's own, or errors by strace.
"""
import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

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


@contextmanager
def lock_taken(site):
    """The same by this process, and quicker."""
    fd = os.open(site.data / "journal.lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(fd)


def together(site, *commands):
    """Commands that each wait for the lock, side by side; in their order."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda c: site.cli(*c, rc=None), commands))


def deny(site, *tokens):
    """Straight to the keeper, as the tool does when the journal takes nothing:
    (pending, in memory), or None: it was not acknowledged."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(site.run / "jeton-control.sock"))
        told = s.makefile("rw")
        try:
            for at in range(0, len(tokens), 100):
                some = tokens[at:at + 100]
                told.write("".join(f"DENY {t[:24]} lost\n" for t in some))
                told.flush()
                for _ in some:
                    line = told.readline()
                    if line != "OK\n":
                        assert line == "", line
                        return None
            told.write("DENIED\n")
            told.flush()
            line = told.readline().split()
        except OSError:
            return None
    return tuple(map(int, line[1:])) if line else None


@contextmanager
def injected(daemon, call, what):
    """The keeper under strace; who asks for it looks whether it lives."""
    tracer = subprocess.Popen(
        ["strace", "-qq", "-o", "/dev/null", "-p", str(daemon.pid), "-e",
         f"trace={call}", "-e", f"inject={call}:{what}"],
        stderr=subprocess.PIPE)
    try:
        until(lambda: daemon.process.poll() is not None or "TracerPid:\t0"
              not in open(f"/proc/{daemon.pid}/status").read(), 5, "traced")
        yield
    finally:
        tracer.terminate()
        tracer.wait()


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
        began = time.monotonic()
        late, done = together(
            site, ["create", "late"],
            ["revoke", token[:24], "--reason", "laptop löst", "--json"])
        assert time.monotonic() - began < 10
        assert late.rc == 4
        assert "has held" in late.err and "journal.lock" in late.err
        assert done.rc == 0
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
        site.root.joinpath("leak").write_text(f"x {leaked} y")
        for done in together(
                site, ["revoke", "--owner", "web", "--yes"],
                ["revoke", "--leaked", site.root / "leak"],
                ["revoke", *[t[:24] for t in named], "--yes"]):
            assert done.rc == 0, done
        with site.client() as c:
            assert {c.verify(t).word for t in [*tokens, leaked, *named]} == \
                {"REVOKED"}
        assert site.status()["pending_revokes"] == 303
        # the keeper tells, and without one the file does
        assert {x["status"] for x in site.list()} == {"Revoked"}
        assert site.cli("list", "--status", "active", "--json").out == ""
        for done in together(site, *([verb, leaked[:24]] for verb in (
                "resume", "suspend", "rotate"))):
            assert done.rc == 4, done  # only revokes go this way
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


@pytest.mark.unwatched("what was told to be in memory only is forgotten")
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


@pytest.mark.traces
@pytest.mark.parametrize("calls, error", [
    ("fdatasync,fsync", "EIO"), ("pwrite64,openat", "EROFS")])
def test_failing_disk_of_the_keeper_makes_it_5(site, calls, error):
    """Nothing that the keeper writes or flushes comes to the disk, as when it
    turns read-only mid-run: exit 5, one line, in force, also in `list`; kept
    as soon as a file can be made."""
    daemon = site.start("--workers", "1")
    token, other = site.create(), site.create()
    with lock_taken(site):
        with injected(daemon, calls, f"error={error}"):
            if error == "EIO":
                done = site.revoke(token, rc=5)
                assert len(lines(done.err)) == 1 and "memory" in done.err
            else:
                assert deny(site, token) == (1, 1)
            assert site.word(token) == "REVOKED"
            assert site.word(other) == "VALID"
            assert site.status()["health"] == "red"
            assert fact(site, token)["status"] == "Revoked"
            assert {x["id"]: x["status"] for x in site.list()} == {
                token[:24]: "Revoked", other[:24]: "Active"}
        # a file that can be written again is made, and takes it
        assert deny(site, token) == (1, 0)
        daemon.kill()
        site.start("--workers", "1")
        assert site.word(token) == "REVOKED"
    until(lambda: well(site), 5, "recorded")


def test_directory_that_turns_read_only_under_the_keeper(site):
    """A read-only mount over it while it runs: the journal cannot be opened
    for writing any more, the file that is open can; so the revoke is durable,
    waits, and is recorded when the mount has gone."""
    with namespace(":") as ns:
        site.start("--workers", "1", wrapper=ns)
        token, other = site.create(), site.create()
        subprocess.run([*ns, "sh", "-ec", 'mount --bind "$1" "$1"; mount -o '
                        'remount,bind,ro "$1"', "sh", site.data], check=True)
        done = site.revoke(token, wrapper=ns)
        assert "Read-only" in done.err
        assert site.word(token) == "REVOKED" and site.word(other) == "VALID"
        assert site.status()["pending_revokes"] == 1
        subprocess.run([*ns, "umount", site.data], check=True)
        until(lambda: well(site), 5, "recorded")
        assert recorded(site, token)


def test_more_than_the_file_takes_are_in_force_and_told_to_be_in_memory(site):
    """10,000 are durable, those beyond are not: exit 5 until they are; `list`
    shows all; all are recorded at the end."""
    site.start("--workers", "1")
    tokens = site.bulk(10003)
    with lock_taken(site):
        assert deny(site, *tokens[:10000]) == (10000, 0)
        assert deny(site, tokens[10000]) == (10001, 1)
        done = site.revoke(tokens[10001], rc=5)
        assert len(lines(done.err)) == 1 and "memory" in done.err
        assert " 2 of them in memory" in site.status()["why"]
        assert deny(site, tokens[5]) == (10002, 2)  # once more is no error
        rows = {x["id"]: x["status"] for x in site.list()}
        assert rows.pop(tokens[10002][:24]) == "Active"
        assert set(rows.values()) == {"Revoked"}
        with site.client() as c:
            for t in (tokens[0], *tokens[9998:10002]):
                assert c.verify(t).word == "REVOKED"
            assert c.verify(tokens[10002]).word == "VALID"
    until(lambda: well(site), 30, "recorded")
    records = [r for r in site.dump() if r["type"] == "revoke"]
    assert len(records) == 10002


def settled(site):
    """Nothing stands in the file any more; without asking the keeper."""
    with open(site.data / "deny", "rb") as f:
        f.seek(4096)
        return not any(f.read(4096))


def kills(call, anew):
    """At which of its calls: all until a run completes; of the 2,502 that
    write a file anew some, with JETON_TORTURE=1 all."""
    if anew and call == "pwrite64" and "JETON_TORTURE" not in os.environ:
        return 1, 700, 1252, 2502
    return itertools.count(1)


@pytest.mark.traces
@pytest.mark.unwatched("what was not acknowledged may come back")
def test_keeper_killed_at_every_call_of_a_deny(site, record_property):
    """SIGKILL at each write, flush, rename and answer of the keeper while it
    denies, commits and clears, in a file in place and in one made anew, until
    a run completes: acknowledged is denied after the restart and for good."""
    site.start("--workers", "1")
    tokens = iter(site.bulk(3000))
    acknowledged, killed, completed = [], 0, 0
    for call, anew in [("pwrite64", False), ("fdatasync", False),
                       ("sendto", False), ("pwrite64", True),
                       ("fsync", True), ("renameat", True)]:
        for k in kills(call, anew):
            token, daemon = next(tokens), site.daemons[-1]
            if anew:
                os.unlink(site.data / "deny")
            with injected(daemon, call, f"signal=SIGKILL:when={k}"):
                with lock_taken(site):
                    if deny(site, token) is not None:
                        acknowledged.append(token)
                # the lock is free: it commits and clears, or dies at that
                end = time.monotonic() + 3
                while daemon.process.poll() is None and \
                        time.monotonic() < end and \
                        not (token in acknowledged and settled(site)):
                    time.sleep(0.01)
                time.sleep(0.03)
            if daemon.process.poll() is None:
                completed += 1
                break
            killed += 1
            site.start("--workers", "1")
            with site.client() as c:
                assert {c.verify(t).word for t in acknowledged} <= {"REVOKED"}
    site.check()
    assert killed >= 14 and completed >= 5 and len(acknowledged) >= 10
    until(lambda: well(site), 5, "all is recorded")
    status = {x["id"]: x["status"] for x in site.list()}
    assert {status[t[:24]] for t in acknowledged} == {"Revoked"}
    record_property("figure", f"{killed} kills, {completed} runs complete, "
                    f"{len(acknowledged)} acknowledged, 0 lost")


@pytest.mark.traces
def test_nothing_that_comes_meanwhile_revives_a_denied_token(site):
    """The keeper never gets the journal's lock, others do: growth, a
    compaction, a renewal, a rotation, a resume come between the
    deny and its record. REVOKED at every moment, and over kill -9."""
    flags = ["--workers", "1", "--capacity", "64"]
    daemon = site.start(*flags)
    tokens = [site.create() for _ in range(4)]
    site.cli("suspend", tokens[1][:24])

    def words():
        with site.client() as c:
            return {c.verify(t).word for t in tokens}

    with injected(daemon, "flock", "error=EAGAIN"):
        assert deny(site, *tokens) == (4, 0)
        assert words() == {"REVOKED"}
        for t, (verb, *options) in zip(tokens, (
                ["renew", "--expires", "80d"], ["resume"], ["rotate"],
                ["rename", "new name"])):
            site.cli(verb, t[:24], *options, rc=None)
            assert words() == {"REVOKED"}, verb
        before = site.status()["capacity"]
        site.bulk(300, name="more")
        until(lambda: site.status()["capacity"] > before, 10, "grown")
        assert words() == {"REVOKED"}
        site.cli("journal", "compact")
        site.create("after it")
        assert words() == {"REVOKED"}
        assert site.status()["pending_revokes"] == 4
        daemon.kill()
    site.daemons[-1].process.wait(10)
    site.start(*flags)
    assert words() == {"REVOKED"}
    until(lambda: well(site), 5, "recorded")
    status = {x["id"]: x["status"] for x in site.list()}
    assert {status[t[:24]] for t in tokens} == {"Revoked"}
    site.daemons[-1].kill()
    site.start(*flags)
    assert words() == {"REVOKED"}
