"""kill -9 at every write boundary, failing flushes, damage, old copies.

A first run under strace tells which calls write; then each of them is where
one further run is killed. So no boundary is left out, and one that a later
version adds is found without changing this file.
"""
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import rig
from rig import lines, values

WRITES = ("write,pwrite64,writev,pwritev,fdatasync,fsync,ftruncate,fallocate,"
          "rename,renameat,renameat2,link,linkat,unlink,unlinkat,sendto")
KILLED = (-9, 137)


def killed_at_every_write(run, most=40):
    """RUN(wrapper, label) -> Done: once whole, then killed at each call."""
    with tempfile.NamedTemporaryFile(prefix="jt") as trace:
        done = run(rig.strace(WRITES, trace.name), "whole")
        calls = rig.thinned(rig.calls_in(trace.name), most)
    assert done.rc == 0, done
    killed = 0
    for call, k in calls:
        done = run(rig.inject(call, f"signal=SIGKILL:when={k}"), f"{call} {k}")
        assert done.rc in (0, *KILLED), done
        killed += done.rc != 0
    assert killed >= len(calls) - 2, f"{killed} of {len(calls)}"
    return {call for call, _ in calls}


def start_or_not(site, serving):
    if serving:
        site.start("--workers", "1")
    else:
        site.create("the first")  # also makes the anchor


def ask_all(site, tokens):
    with site.client() as c:
        c.raw(b"".join(rig.encode("VERIFY", t) for t in tokens))
        return [rig.verdict(c.read()).word for _ in tokens]


@pytest.mark.parametrize("serving", [True, False])
def test_create_killed_at_every_write(site, serving):
    """One chain of crashes, appends and crashes: every value that came out
    is valid at the end; each crash leaves one token more or none."""
    start_or_not(site, serving)
    out_alone = re.compile(r"(jt_live_\w{56})\n")
    acknowledged = []

    def run(wrapper, label):
        before = site.list()
        done = site.cli("create", f"crash {label}", rc=None, wrapper=wrapper)
        now = site.list()
        assert rig.without_use(now[:len(before)]) == \
            rig.without_use(before), "an older record changed"
        assert [x["name"] for x in now[len(before):]] in \
            ([], [f"crash {label}"])
        value = out_alone.fullmatch(done.out)
        if value:
            assert now[-1]["id"] == value[1][:24]
            acknowledged.append(value[1])
        acknowledged.append(site.create("after"))
        site.check()
        return done

    calls = killed_at_every_write(run)
    assert {"pwrite64", "fdatasync", "write"} <= calls
    if serving:
        assert set(ask_all(site, acknowledged)) == {"VALID"}
        site.daemons[0].kill()
    site.start("--workers", "1")
    assert set(ask_all(site, acknowledged)) == {"VALID"}
    assert [x for x in site.list() if x["status"] != "Active"] == []


@pytest.mark.parametrize("serving", [True, False])
def test_revoke_killed_at_every_write(site, serving):
    start_or_not(site, serving)
    tokens = iter(site.bulk(60))
    revoked = []

    def run(wrapper, label):
        token, kept = next(tokens), site.create()
        done = site.revoke(token, *([] if serving else ["--offline"]),
                           wrapper=wrapper, rc=None)
        site.revoke(kept, rc=0 if serving else 3)  # the next command works
        status = {x["id"]: x["status"] for x in site.list()}[token[:24]]
        if done.rc == 0:
            assert status == "Revoked"
        if serving:  # what the journal says is in force
            assert site.word(token) == {"Active": "VALID",
                                        "Revoked": "REVOKED"}[status]
        site.revoke(token, "--offline")
        revoked.extend((token, kept))
        site.check()
        return done

    assert {"pwrite64", "fdatasync"} <= killed_at_every_write(run)
    if serving:
        site.daemons[0].kill()
    site.start("--workers", "1")
    assert set(ask_all(site, revoked)) == {"REVOKED"}


@pytest.mark.parametrize("serving", [True, False])
def test_bulk_create_killed_at_every_write(site, serving):
    """50 tokens or none; their values are never lost: they are in the --out
    file or in the temporary one beside it."""
    start_or_not(site, serving)
    n = 50
    table = site.root / "t.csv"
    table.write_text("name,rate\n" + "".join(f"t{i},{i % 5 + 1}/s\n"
                                             for i in range(n)))
    good = []

    def run(wrapper, label):
        before = len(site.list())
        out = site.root / f"out {label}"
        done = site.cli("create", "--from", table, "--out", out, rc=None,
                        wrapper=wrapper)
        now = site.list()
        assert len(now) - before in (0, n)
        made = {x["id"] for x in now[before:]}
        files = list(site.root.glob(f"out {label}*"))
        kept = [v for f in files for v in values(f)]
        if made:
            assert {v[:24] for v in kept} >= made, "values were lost"
            good.extend(v for v in kept if v[:24] in made)
        assert done.rc != 0 or (made and out.exists() and len(files) == 1)
        assert not out.exists() or made, "values of tokens that are none"
        good.append(site.create())
        site.check()
        return done

    assert {"pwrite64", "fdatasync", "fsync", "renameat2", "write"} <= \
        killed_at_every_write(run)
    if serving:
        assert set(ask_all(site, good)) == {"VALID"}
        site.daemons[0].kill()
    site.start("--workers", "1")
    assert set(ask_all(site, good)) <= {"VALID", "RATE_LIMITED"}


@pytest.mark.parametrize("verb", [["init"], ["create", "x"]])
def test_first_use_killed_at_every_write(verb):
    """Making the journal: complete, or not there."""
    def run(wrapper, label):
        with rig.a_site() as site:
            done = site.cli(*verb, rc=None, wrapper=wrapper)
            if site.journal.exists():
                site.check()
            token = site.create("next")
            site.check()
            if label.endswith("1"):
                site.start("--workers", "1")
                assert site.word(token) == "VALID"
            return done

    assert {"pwrite64", "fsync", "renameat"} <= \
        killed_at_every_write(run, most=8)


def test_daemon_killed_at_every_write_of_its_start(site):
    """A crash in start-up, over and over: the next one starts."""
    token, gone = site.create(), site.create()
    site.revoke(gone, rc=3)
    calls = WRITES + ",bind,listen,socket,fcntl,mmap,memfd_create,clone"
    if rig.NO_RING:  # over epoll each worker would die of its first reply
        calls = calls.replace(",sendto", "")
    trace = site.root / "trace"
    daemon = site.start("--workers", "1", wrapper=rig.strace(calls, trace))
    site.signal_keeper(signal.SIGTERM)
    assert daemon.process.wait(10) == 0
    for call, k in rig.thinned(rig.calls_in(trace), 4):
        daemon = site.start("--workers", "1", wait=False, wrapper=rig.inject(
            call, f"signal=SIGKILL:when={k}"))
        rig.until(lambda: daemon.process.poll() is not None or
                  daemon.serving(), 20, "its end, or serving")
        if daemon.process.poll() is None:  # it comes at the stop, or never
            site.signal_keeper(signal.SIGTERM)
            daemon.process.wait(10)
        site.check()
    site.start("--workers", "1")
    assert ask_all(site, [token, gone]) == ["VALID", "REVOKED"]


# ---- flushes that fail ----

@pytest.mark.unwatched("what was not durable may come back")
@pytest.mark.parametrize("serving", [True, False])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("verb", ["create", "revoke"])
def test_failed_flush_is_no_success_and_poisons(site, serving, k, verb):
    """Of both flushes of a commit: exit 4, no value given out; nobody writes
    any more, verification goes on; the rescue helps. A revoke goes to the
    sidecar instead, if there is one."""
    start_or_not(site, serving)
    old, other = site.create("old"), site.create("other")
    eio = rig.inject("fdatasync", f"error=EIO:when={k}")
    denied = "REVOKED" if serving else "VALID"
    for args, wrapper in (
            (["create", "new"] if verb == "create" else ["revoke", old[:24]],
             eio), (["create", "x"], ()), (["revoke", other[:24]], ())):
        if serving and args[0] == "revoke":
            assert "deny" in site.cli(*args, rc=0, wrapper=wrapper).err
            continue
        done = site.cli(*args, rc=4, wrapper=wrapper)
        assert done.out == "" and len(lines(done.err)) == 1
        assert wrapper or "rescue" in done.err
    if serving:
        assert site.word(other) == "REVOKED"
        site.daemons[0].stop()
        site.start("--workers", "1")
        assert site.word(other) == "REVOKED"
        site.daemons[-1].stop()
    site.cli("journal", "rescue")
    site.check()
    token = site.create("after")
    site.start("--workers", "1")
    assert ask_all(site, [other, token]) == [denied, "VALID"]
    site.revoke(old)
    assert site.word(old) == "REVOKED"


def test_failed_flush_of_an_out_file_creates_nothing(served):
    for call in ("fsync", "write"):
        done = served.cli("create", "x", "--out", served.root / "o", rc=4,
                          wrapper=rig.inject(call, "error=EIO:when=1"))
        assert len(lines(done.err)) == 1
        assert served.list() == [] and not list(served.root.glob("o*"))
    assert served.create()


def test_full_disk_is_told_and_nothing_is_half_written(served):
    old = served.create("old")
    done = served.cli("create", "x", rc=4, wrapper=rig.inject(
        "pwrite64", "error=ENOSPC:when=1"))
    assert done.out == "" and len(lines(done.err)) == 1
    served.check()
    assert [x["name"] for x in served.list()] == ["old"]
    assert served.word(served.create("next")) == "VALID"
    served.revoke(old)


@pytest.mark.parametrize("call", ["pwrite64", "pread64", "flock"])
def test_interrupted_calls_are_retried(served, call):
    trace = served.root / "trace"
    served.cli("--version", wrapper=rig.strace(call, trace))
    loader = dict(rig.calls_in(trace)).get(call, 0)  # ld.so has none of it
    for k in range(loader + 1, loader + 7):
        token = served.cli("create", "x", wrapper=rig.inject(
            call, f"error=EINTR:when={k}")).out.strip()
        assert served.word(token) == "VALID"
    served.check()


def test_a_file_that_may_not_grow_refuses_creates_and_takes_revokes(site):
    """RLIMIT_FSIZE gives real short writes, without root. What the reserve is
    for: nothing can be added any more, but a revoke still can."""
    tokens = site.bulk(100)
    room = json.loads(site.cli("journal", "check", "--json").out)["reserve"]
    site.bulk(room - 10000, name="more")
    limit = ["prlimit", f"--fsize={site.journal.stat().st_size}"]
    before = site.dump()
    done = site.cli("create", "x", rc=4, wrapper=limit)
    assert done.out == "" and len(lines(done.err)) == 1
    (site.root / "t.csv").write_text("name\n" + "x\n" * 30)
    done = site.cli("create", "--from", site.root / "t.csv", "--out",
                    site.root / "o", rc=4, wrapper=limit)
    assert len(lines(done.err)) == 1 and not list(site.root.glob("o*"))
    assert site.dump() == before
    for t in tokens[:3]:
        site.revoke(t, "--offline", wrapper=limit)
    site.check()
    assert site.create("room again")
    site.start("--workers", "1")
    assert ask_all(site, tokens[:4]) == ["REVOKED"] * 3 + ["VALID"]


@pytest.mark.parametrize("bytes_", [0, 1, 4096, 12288, 100000])
def test_first_use_where_files_may_hardly_grow(site, bytes_):
    done = site.cli("create", "x", rc=4,
                    wrapper=["prlimit", f"--fsize={bytes_}"])
    assert done.out == "" and len(lines(done.err)) == 1
    site.create()
    site.check()


@pytest.mark.unwatched("what was not durable may come back")
def test_keeper_that_cannot_flush_denies_but_promises_nothing(site):
    """Its own flush fails: no change is called in force, verification goes
    on, revokes are applied, health is red."""
    gone, kept = site.create("gone"), site.create("kept")
    trace = site.root / "trace"
    daemon = site.start("--workers", "1",
                        wrapper=rig.strace("fdatasync", trace))
    flushes = len(rig.calls_in(trace))  # of its start
    site.signal_keeper(signal.SIGTERM)
    daemon.process.wait(10)
    site.start("--workers", "1", wrapper=rig.inject(
        "fdatasync", f"error=EIO:when={flushes + 1}+"))
    assert ask_all(site, [gone, kept]) == ["VALID"] * 2
    done = site.cli("create", "new", rc=None)
    assert done.rc == 3
    rig.until(lambda: site.status()["health"] == "red", 3, "health red")
    site.cli("status", rc=1)
    done = site.revoke(gone, rc=None)
    assert done.rc in (0, 3, 5)
    rig.until(lambda: site.word(gone) == "REVOKED", 1, "denied all the same")
    done = site.cli("create", "new", rc=3)
    assert done.out == ""
    assert site.word(kept) == "VALID"


@pytest.mark.parametrize("call", ["fdatasync", "pread64", "memfd_create",
                                  "socket", "bind", "listen"])
def test_daemon_that_cannot_start_says_in_one_line_why(site, call):
    site.create()
    trace = site.root / "trace"
    site.cli("--version", wrapper=rig.strace(call, trace))
    skip = dict(rig.calls_in(trace)).get(call, 0)  # the loader's own
    daemon = site.start("--workers", "1", wait=False, wrapper=rig.inject(
        call, f"error=EIO:when={skip + 1}+"))
    rig.until(lambda: daemon.process.poll() is not None or
              daemon.serving(), 10, "its end, or serving")
    if daemon.process.poll() is None:
        assert call in ("fdatasync", "pread64")
        return
    assert daemon.process.returncode in (71, 74, 78)
    assert len(lines(daemon.log())) == 1
    assert len(daemon.log()) > len("jetond: Input/output error\n"), "of what?"


# ---- several writers ----

def test_many_writers_at_once_lose_nothing(served):
    loop = 'for i in $(seq 20); do "$0" create "$1 $i" || echo FAILED; done'
    running = [subprocess.Popen(["sh", "-c", loop, rig.JETON, f"w{n}"],
                                env=served.env, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
               for n in range(4)]
    tokens = [t for p in running for t in p.communicate()[0].split()]
    assert len(tokens) == 80 and "FAILED" not in tokens
    assert set(ask_all(served, tokens)) == {"VALID"}
    assert sorted(x["id"] for x in served.list()) == \
        sorted(t[:24] for t in tokens)
    served.check()


def test_a_lock_held_too_long_is_told(served):
    token = served.create()
    with open(served.data / "journal.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = served.cli("create", "x", rc=4)
        assert len(lines(done.err)) == 1 and "journal.lock" in done.err
        assert served.word(token) == "VALID"
        assert len(served.list()) == 1  # readers need no lock
    assert served.create()


@pytest.mark.parametrize("at", range(1, 5))
def test_writer_killed_inside_lets_the_next_one_in_at_once(served, at):
    for call in ("pwrite64", "fdatasync"):
        served.cli("create", "x", rc=None, wrapper=rig.inject(
            call, f"signal=SIGKILL:when={at}"))
        start = time.monotonic()
        served.create()
        assert time.monotonic() - start < 1 * rig.PATIENCE


# ---- the file is taken away while it is served ----

@pytest.mark.parametrize("how", ["unlinked", "renamed", "cut", "zeroed"])
def test_a_journal_that_goes_away_while_served_turns_health_red(served, how):
    token = served.create()
    if how == "unlinked":
        served.journal.unlink()
    elif how == "renamed":
        served.journal.rename(served.root / "elsewhere")
    elif how == "cut":
        os.truncate(served.journal, 12288)
    else:
        served.journal.write_bytes(bytes(served.journal.stat().st_size))
    done = served.cli("create", "x", rc=None)
    assert done.rc in (3, 4) and done.out == ""
    rig.until(lambda: served.status()["health"] == "red", 3, "health red")
    assert served.word(token) == "VALID"


def test_the_same_journal_in_a_new_file_is_followed(served):
    """As a restore or a rescue leaves it: another inode, the same history."""
    gone = served.create()
    shutil.copy(served.journal, served.root / "copy")
    (served.root / "copy").chmod(0o600)
    (served.root / "copy").rename(served.journal)
    token = served.create()
    served.revoke(gone)
    assert ask_all(served, [gone, token]) == ["REVOKED", "VALID"]
    assert served.status()["health"] == "ok"


# ---- older copies ----

def test_an_older_copy_put_back_is_refused_by_all(site):
    gone = site.create("gone")
    shutil.copy(site.journal, site.root / "older")
    site.revoke(gone, rc=3)
    receipt = site.check()
    shutil.copy(site.root / "older", site.journal)
    before = site.journal.read_bytes()
    for args in (["create", "x"], ["revoke", gone[:24]]):
        done = site.cli(*args, rc=4)
        assert done.out == "" and len(lines(done.err)) == 1
        assert "old" in done.err
    for args in (["journal", "check"],
                 ["journal", "check", "--expect", receipt]):
        assert len(lines(site.cli(*args, rc=4).err)) == 1
    daemon = site.start(wait=False)
    assert daemon.process.wait(20) == 74
    assert len(lines(daemon.log())) == 1
    assert site.journal.read_bytes() == before


def test_an_older_directory_put_back_is_refused_by_a_receipt(site):
    gone = site.create("gone")
    shutil.copytree(site.data, site.root / "older")
    site.revoke(gone, rc=3)
    receipt = site.check()
    shutil.rmtree(site.data)
    shutil.copytree(site.root / "older", site.data)
    site.check()  # by itself it cannot tell
    done = site.cli("journal", "check", "--expect", receipt, rc=4)
    assert len(lines(done.err)) == 1


def test_an_older_copy_is_refused_after_a_daemon_wrote_the_anchor(site):
    daemon = site.start("--workers", "1")
    gone = site.create("gone")
    shutil.copy(site.journal, site.root / "older")
    site.revoke(gone)
    time.sleep(1.1)  # the promised second
    daemon.kill()
    shutil.copy(site.root / "older", site.journal)
    daemon = site.start(wait=False)
    assert daemon.process.wait(20) == 74
    site.cli("create", "x", rc=4)


def test_an_older_copy_put_back_under_a_running_daemon_is_never_applied(site):
    site.start("--workers", "1")
    gone = site.create("gone")
    shutil.copy(site.journal, site.root / "older")
    site.revoke(gone)
    time.sleep(1.1)
    shutil.copy(site.root / "older", site.journal)  # the same inode
    done = site.cli("create", "x", rc=None)
    assert done.rc in (3, 4) and done.out == "", done
    assert site.word(gone) == "REVOKED"
    rig.until(lambda: site.status()["health"] == "red", 3, "health red")


@pytest.mark.unwatched("an older history is put back")
def test_accept_goes_on_with_an_older_journal(site):
    token = site.create("kept")
    shutil.copy(site.journal, site.root / "older")
    receipt = site.check()
    site.create("lost")
    shutil.copy(site.root / "older", site.journal)
    site.cli("create", "x", rc=4)
    site.cli("journal", "accept", "1:" + "0" * 32, rc=4)
    site.cli("journal", "accept", receipt)
    site.check()
    assert site.create("next")
    site.start("--workers", "1")
    assert site.word(token) == "VALID"


def test_journals_of_two_directories_are_not_mixed(site):
    with rig.a_site() as elsewhere:
        elsewhere.create("theirs")
        site.create("ours")
        shutil.copy(elsewhere.journal, site.journal)
    site.cli("create", "x", rc=4)
    daemon = site.start(wait=False)
    assert daemon.process.wait(20) == 74


def test_a_journal_that_vanished_is_not_made_anew_in_silence(site):
    """With an anchor there was one: revokes in it must not be forgotten."""
    site.create()
    site.journal.unlink()
    site.cli("create", "x", rc=4)
    daemon = site.start(wait=False)
    assert daemon.process.wait(20) == 74
    assert not site.journal.exists()


# ---- damage, through the real check ----

@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The bytes of a journal of 64 records, without its reserve."""
    with rig.a_site() as site:
        tokens = site.bulk(50)
        for t in tokens[:14]:
            site.revoke(t, rc=3)
        assert len(site.dump()) == 64
        yield {p.name: p.read_bytes() for p in site.data.iterdir()}


END = 12288 + 64 * 256


def check(sample, journal):
    with rig.a_site() as site:
        site.data.mkdir(mode=0o700)
        for name, data in sample.items():
            (site.data / name).write_bytes(data)
            (site.data / name).chmod(0o600)
        site.journal.write_bytes(journal)
        done = site.cli("journal", "check", rc=None)
        assert site.journal.read_bytes() == journal, "check wrote"
        return done


def test_the_sample_itself_is_sound(sample):
    assert check(sample, sample["journal"]).rc == 0


@pytest.mark.parametrize("at", [
    0, 7, 8, 12, 30, 47, 60, 100, 4000, 4095,  # header
    4096, 4104, 4130, 4600, 8191, 8192, 8200, 8220, 9000, 12287,  # slots
    12288, 12289, 12296, 12304, 12312, 12330, 12336, 12344, 12400, 12490,
    12530, 12543, 12288 + 31 * 256 + 56, 12288 + 31 * 256 + 255,
    END - 256, END - 17, END - 16, END - 1])
def test_a_flipped_bit_is_found_at_its_place(sample, at):
    journal = bytearray(sample["journal"])
    journal[at] ^= 1 << at % 8
    done = check(sample, bytes(journal))
    assert done.rc == 4 and len(lines(done.err)) == 1, done
    if at >= 12288:
        record = (at - 12288) // 256
        assert re.search(rf"\b{record + 1}\b", done.err), done.err
        assert str(12288 + record * 256) in done.err, done.err


@pytest.mark.parametrize("size", [0, 1, 100, 4095, 4096, 8192, 12287, 12288,
                                  12289, 12288 + 256, 12288 + 33 * 256 + 7,
                                  END - 256, END - 1])
def test_a_cut_below_the_commit_is_found(sample, size):
    done = check(sample, sample["journal"][:size])
    assert done.rc == 4 and len(lines(done.err)) == 1, done


@pytest.mark.parametrize("tail", [b"", b"\0" * 4096, b"\xff" * 300,
                                  b"\0" * 255, b"garbage"])
def test_what_stands_behind_the_commit_does_not_exist(sample, tail):
    """Cut, zeroed or filled with garbage: the same state as before."""
    expected = json.loads(check_json(sample, sample["journal"]))
    got = json.loads(check_json(sample, sample["journal"][:END] + tail))
    assert (got["records"], got["receipt"]) == \
        (expected["records"], expected["receipt"])


def check_json(sample, journal):
    with rig.a_site() as site:
        site.data.mkdir(mode=0o700)
        for name, data in sample.items():
            (site.data / name).write_bytes(data)
            (site.data / name).chmod(0o600)
        site.journal.write_bytes(journal)
        site.journal.chmod(0o600)
        out = site.cli("journal", "check", "--json").out
        token = site.create("overwrites it")
        site.start("--workers", "1")
        assert site.word(token) == "VALID"
        assert len(site.list()) == 51
        return out


@pytest.mark.parametrize("what", ["swap", "copy", "drop", "zero", "splice"])
def test_records_moved_about_are_found(sample, what):
    j = bytearray(sample["journal"])

    def record(n):
        return slice(12288 + n * 256, 12288 + (n + 1) * 256)
    if what == "swap":
        j[record(10)], j[record(20)] = j[record(20)], j[record(10)]
    elif what == "copy":
        j[record(11)] = j[record(10)]
    elif what == "drop":
        del j[record(10)]
    elif what == "zero":
        j[record(63)] = bytes(256)
    else:
        with rig.a_site() as other:
            other.bulk(50)
            j[record(10)] = other.journal.read_bytes()[record(10)]
    done = check(sample, bytes(j))
    assert done.rc == 4 and len(lines(done.err)) == 1


def test_both_slots_from_an_earlier_commit_are_found(sample):
    """Slots rewound together: only the anchor can tell, and does."""
    with rig.a_site() as site:
        site.create("a")
        site.create("b")
        early = site.journal.read_bytes()
        site.create("c")
        site.create("d")
        now = bytearray(site.journal.read_bytes())
        now[4096:12288] = early[4096:12288]
        site.journal.write_bytes(now)
        site.cli("journal", "check", rc=4)
        site.cli("create", "x", rc=4)
        daemon = site.start(wait=False)
        assert daemon.process.wait(20) == 74


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_journal_that_others_could_write_or_read(site, mode):
    """Readable for others is a matter of taste; writable is refused."""
    token = site.create()
    Path(site.journal).chmod(mode)
    done = site.cli("create", "x", rc=None)
    if mode & 0o022:
        assert done.rc == 4 and len(lines(done.err)) == 1
    site.journal.chmod(0o600)
    site.start("--workers", "1")
    assert site.word(token) == "VALID"
