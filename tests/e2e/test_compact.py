"""Compaction, backup, restore and tail through the real binaries."""
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import rig
from rig import lines
from test_crashes import KILLED, ask_all, killed_at_every_write


def compact(site, **kw):
    """What `journal compact --json` says of itself."""
    return json.loads(site.cli("journal", "compact", "--json", **kw).out)


def churn(site, rounds=4):
    """A story that leaves something behind: (valid, revoked) tokens."""
    valid, revoked = [], []
    for i in range(rounds):
        made = site.bulk(20, "--owner", f"team {i}", "--rate", f"{i + 1}000000/s",
                         name=f"churn{i}")
        for t in made[::4]:
            site.revoke(t, rc=None)
        revoked += made[::4]
        valid += [t for n, t in enumerate(made) if n % 4]
    return valid, revoked


class Asker(threading.Thread):
    """Verifies without a pause; a wrong word or an error ends it."""

    def __init__(self, site, valid, revoked):
        super().__init__(daemon=True)
        self.site, self.valid, self.revoked = site, valid, revoked
        self.n, self.worst_s, self.wrong = 0, 0.0, None
        self.stopping = False
        self.start()

    def run(self):
        try:
            with self.site.client() as c:
                while not self.stopping:
                    for token, word in ((self.valid, "VALID"),
                                        (self.revoked, "REVOKED")):
                        since = time.monotonic()
                        got = c.verify(token).word
                        self.worst_s = max(self.worst_s,
                                           time.monotonic() - since)
                        assert got == word, (got, word)
                        self.n += 1
        except Exception as e:  # told by stop()
            self.wrong = e

    def stop(self):
        self.stopping = True
        self.join()
        assert self.wrong is None, self.wrong
        assert self.n and self.worst_s < 1 * rig.PATIENCE, self.worst_s


@pytest.mark.unwatched("uses are compared")
def test_compaction_keeps_every_answer_and_every_receipt(site):
    site.start("--workers", "1")
    valid, revoked = churn(site)
    before = site.list(), site.check()
    old_receipt = re.search(r"receipt (\d+:\w+)", site.said[0][1].err)[1]
    said = compact(site)
    assert said["receipt"] == before[1] and said["archive"] == "journal.000001"
    assert (site.list(), site.check()) == before
    assert ask_all(site, valid) == ["VALID"] * len(valid)
    assert ask_all(site, revoked) == ["REVOKED"] * len(revoked)
    assert site.status()["health"] == "ok"
    shown = site.cli("show", valid[0][:24], "--json").out
    assert json.loads(shown)["owner"] == "team 0"
    token = site.create("after")
    site.revoke(valid.pop())
    assert site.word(token) == "VALID"
    site.cli("journal", "check", "--expect", before[1])
    site.cli("journal", "check", "--expect", old_receipt)
    site.daemons[0].kill()
    site.start("--workers", "1")
    assert ask_all(site, valid) == ["VALID"] * len(valid)
    assert ask_all(site, revoked) == ["REVOKED"] * len(revoked)
    assert json.loads(site.cli("show", valid[0][:24], "--json").out)[
        "created"] == json.loads(shown)["created"]


def test_compactions_under_load_are_seen_by_nobody(site):
    """Twenty, while clients verify and an admin creates and revokes."""
    site.start("--workers", "2")
    valid, revoked = churn(site, 2)
    askers = [Asker(site, valid[0], revoked[0]) for _ in range(3)]
    done, stop = {"created": [], "revoked": []}, threading.Event()

    def admin():
        for i in itertools.count():
            if stop.is_set():
                return
            token = site.create(f"under load {i}")
            assert site.word(token) == "VALID"
            done["created"].append(token)
            if i % 2:
                site.revoke(token)
                assert site.word(token) == "REVOKED"
                done["revoked"].append(token)

    failed = []
    writer = threading.Thread(target=lambda: catch(admin, failed), daemon=True)
    writer.start()
    for g in range(1, 21):
        assert compact(site)["archive"] == f"journal.{g:06}"
        assert site.status()["health"] == "ok"
        n = len(done["created"])
        rig.until(lambda: len(done["created"]) > n or failed, 20, "a change")
    stop.set()
    writer.join()
    assert not failed, failed
    for a in askers:
        a.stop()
    live = [t for t in done["created"] if t not in done["revoked"]]
    for restart in (False, True):
        if restart:
            site.daemons[0].kill()
            site.start("--workers", "1")
        assert set(ask_all(site, live + valid)) == {"VALID"}
        assert set(ask_all(site, done["revoked"] + revoked)) == {"REVOKED"}
    checked = json.loads(site.cli("journal", "check", "--json").out)
    assert checked["archives"] == 20 and checked["history_from"] == 1


def catch(run, failed):
    try:
        run()
    except BaseException as e:
        failed.append(e)
        raise


def through_everything(site):
    """Tokens that have gone through every verb: [(value, word)]."""
    expected = []
    site.cli("plan", "set", "gold", "--rate", "1000/s")
    site.cli("plan", "set", "iron", "--rate", "10/s")
    for n in range(2):
        made = site.bulk(16, "--plan", "gold", "--scope", "orders:read",
                         name=f"all{n}")
        ids = [t[:24] for t in made]
        site.cli("renew", ids[0], "--expires", "1y")
        site.cli("rename", ids[1], "another name")
        site.cli("set", ids[2], "--owner", "web", "--rate", "77/s",
                 "--scope", "billing:write")
        site.cli("suspend", ids[3], "--reason", "invoice overdue")
        site.cli("suspend", ids[4])
        site.cli("renew", ids[4], "--expires", "2y")
        site.cli("suspend", ids[5])
        site.cli("resume", ids[5])
        words = ["VALID"] * 3 + ["SUSPENDED"] * 2 + ["VALID"]
        for k in range(6, 10):
            new = site.cli("rotate", ids[k], "--overlap", "1h").out.strip()
            expected.append((new, "VALID"))
            words.append("VALID")
        new = site.cli("rotate", ids[7], "--overlap", "1h",
                       "--force").out.strip()
        expected.append((new, "VALID"))
        words[7] = None  # forgotten; its verdict is whatever it is
        site.cli("rotate", ids[8], "--finish")
        words[8] = None
        site.cli("renew", ids[9], "--expires", "1y")
        site.cli("revoke", ids[10], "--reason", "laptop lost")
        site.cli("set", ids[11], "--plan", "none")
        words += ["REVOKED"] + ["VALID"] * 5
        expected += zip(made, words)
    site.cli("plan", "set", "gold", "--rate", "2000/s")
    site.cli("plan", "set", "iron", "--rate", "20/s")
    site.cli("plan", "rm", "iron")
    return expected


def everything_told(site, tokens):
    """All that can be asked, but for counts and what a request leaves."""
    shown = []
    for x in site.list():
        s = json.loads(site.cli("show", x["id"], "--json").out)
        shown.append({k: v for k, v in s.items()
                      if k not in ("uses", "refusals", "last_used")})
    with site.client() as c:
        asked = [c.verify(t, "COST", "0") for t, _ in tokens]
        scoped = [c.verify(t, "COST", "0", "SCOPE", "orders:read").word
                  for t, _ in tokens]
    return (site.list(), shown, scoped,
            [(v.word, v.id, v.limit, v.owner) for v in asked],
            site.cli("plan", "list", "--json").out)


@pytest.mark.unwatched("uses are compared")
def test_every_verb_survives_compaction_and_restart(site):
    site.start("--workers", "1")
    tokens = through_everything(site)
    tokens = [(t, w or site.word(t, "COST", "0")) for t, w in tokens]
    told = everything_told(site, tokens)
    assert [w for w, *_ in told[3]] == [w for _, w in tokens]
    compact(site)
    assert everything_told(site, tokens) == told
    site.daemons[0].kill()
    site.start("--workers", "1")
    assert everything_told(site, tokens) == told
    said = compact(site)  # of what is compacted already
    assert said["records_after"] == said["records_before"]
    site.daemons[-1].stop()
    site.start("--workers", "1")
    assert everything_told(site, tokens) == told
    # and everything goes on from there
    some = tokens[5][0]
    site.cli("suspend", some[:24])
    assert site.word(some) == "SUSPENDED"
    site.cli("resume", some[:24])
    assert site.word(some) == "VALID"


def test_purged_tokens_vanish(site):
    site.start("--workers", "1")
    kept, gone = site.create("kept"), site.create("gone")
    site.revoke(gone)
    time.sleep(1.1)
    site.cli("purge", "--dead-for", "1s", "--yes")
    compact(site)
    names = [x["name"] for x in site.dump() if x.get("state")]
    assert names == ["kept"]
    assert (site.word(kept), site.word(gone)) == ("VALID", "UNKNOWN")


@pytest.mark.unwatched("uses are compared")
def test_a_hundred_thousand_tokens_with_many_changes_shrink(site):
    n = 100000
    site.bulk(n, "--owner", "web")
    site.start("--workers", "1")
    for years in ("1y", "2y", "3y"):
        site.cli("renew", "--owner", "web", "--expires", years, "--yes")
    state = site.list()
    said = compact(site)
    assert said["records_before"] >= 4 * n
    assert said["records_after"] == 2 * n
    assert said["bytes_after"] < 0.6 * said["bytes_before"]
    assert said["locked_us"] < 1e6 * rig.PATIENCE
    assert site.list() == state


def test_the_archive_loses_its_reserve_and_the_modes_stay(site):
    site.bulk(200)
    said = compact(site)
    assert site.journal.stat().st_mode & 0o777 == 0o600
    assert (site.data / said["archive"]).stat().st_size == 12288 + 200 * 256
    assert json.loads(site.cli("journal", "check", "--json").out)[
        "reserve"] >= 10000


@pytest.mark.parametrize("serving", [True, False])
def test_compaction_killed_at_every_write(site, serving):
    """Old or new, never none; nothing is lost and the next one works."""
    if serving:
        site.start("--workers", "1")
    valid, revoked = churn(site, 1)
    state = rig.without_use(site.list())
    generations = set()

    def run(wrapper, label):
        before = site.check()
        done = site.cli("journal", "compact", rc=None, wrapper=wrapper)
        assert site.check() == before
        assert rig.without_use(site.list()) == state
        assert done.rc in (0, *KILLED)
        history = site.cli("journal", "check", "--json").out
        assert json.loads(history)["history_from"] == 1
        generations.add(len(list(site.data.glob("journal.0*"))))
        token = site.create(label)
        assert not serving or site.word(token) == "VALID"
        valid.append(token)
        state[:] = rig.without_use(site.list())
        return done

    calls = killed_at_every_write(run, most=12)
    assert {"pwrite64", "fsync", "fdatasync", "linkat", "renameat",
            "ftruncate"} <= calls
    compact(site)
    assert not (site.data / "journal.compact").exists()
    if serving:
        assert set(ask_all(site, valid)) <= {"VALID"}
        site.daemons[0].kill()
    site.start("--workers", "1")
    assert set(ask_all(site, valid)) == {"VALID"}
    assert set(ask_all(site, revoked)) == {"REVOKED"}
    assert len(generations) > 1


@pytest.mark.parametrize("call", ["fsync", "fdatasync", "linkat", "renameat",
                                  "pwrite64"])
def test_a_call_that_fails_is_told_in_one_line(site, call):
    site.start("--workers", "1")
    token = site.create()
    for k in itertools.count(1):
        before = site.check()
        done = site.cli("journal", "compact", rc=None, wrapper=rig.inject(
            call, f"error=EIO:when={k}"))
        if done.rc == 0:
            break
        assert done.rc == 4 and len(lines(done.err)) == 1, done
        assert site.check() == before
        again = site.cli("create", "x", rc=None)
        if again.rc != 0:  # a flush that others rely on
            assert call in ("fsync", "fdatasync") and "rescue" in again.err
            site.cli("journal", "rescue")
            assert site.create()
        assert site.word(token) == "VALID"
        assert not (site.data / "journal.compact").exists()
    assert k > 1


def test_a_full_disk_leaves_the_journal_as_it_was(site):
    token = site.create()
    before = site.check()
    done = site.cli("journal", "compact", rc=4,
                    wrapper=["prlimit", "--fsize=100000"])
    assert len(lines(done.err)) == 1
    assert site.check() == before
    assert not (site.data / "journal.compact").exists()
    site.revoke(token, "--offline")


def test_a_stopped_keeper_catches_up_over_several_compactions(site):
    daemon = site.start("--workers", "1")
    token, *gone = [site.create() for _ in range(3)]
    os.kill(daemon.pid, signal.SIGSTOP)
    for n, t in enumerate(gone):
        admin = subprocess.Popen([rig.JETON, "revoke", t[:24]], env=site.env,
                                 stderr=subprocess.DEVNULL)
        rig.until(lambda: site.list()[n + 1]["status"] == "Revoked",
                  10 * rig.PATIENCE, "recorded", step_s=0.1)
        admin.kill()  # it waits for the keeper
        admin.wait()
        compact(site)
    assert ask_all(site, gone) == ["VALID"] * 2
    os.kill(daemon.pid, signal.SIGCONT)
    rig.until(lambda: ask_all(site, gone) == ["REVOKED"] * 2, 5, "caught up")
    assert site.word(token) == "VALID"
    assert site.word(site.create()) == "VALID"
    assert site.status()["health"] == "ok"


def test_a_missing_archive_is_said(site):
    site.create("a")
    receipt = site.check()
    site.create("b")
    compact(site)
    (site.data / "journal.000001").rename(site.root / "tape")
    done = site.cli("journal", "check", "--json")
    assert json.loads(done.out)["history_from"] == 3
    assert "archive" in done.err
    done = site.cli("journal", "check", "--expect", receipt, rc=4)
    assert "journal.000001" in done.err and len(lines(done.err)) == 1
    (site.root / "tape").rename(site.data / "journal.000001")
    site.cli("journal", "check", "--expect", receipt)


def test_a_damaged_archive_is_found(site):
    site.bulk(10)
    compact(site)
    archive = site.data / "journal.000001"
    data = bytearray(archive.read_bytes())
    data[12288 + 3 * 256 + 80] ^= 1
    archive.write_bytes(data)
    done = site.cli("journal", "check", rc=4)
    assert "journal.000001" in done.err and len(lines(done.err)) == 1


def test_one_compaction_at_a_time(site):
    site.bulk(100)
    slow = subprocess.Popen(
        [*rig.inject("pwrite64", "delay_enter=2000000:when=1"), rig.JETON,
         "journal", "compact"], env=site.env, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    rig.until(lambda: (site.data / "journal.compact").exists(), 10, "begun")
    done = site.cli("journal", "compact", rc=4)
    assert "another compaction" in done.err
    token = site.create("meanwhile")  # writers do not wait for it
    assert slow.wait(20) == 0
    site.start("--workers", "1")
    assert site.word(token) == "VALID"
    site.check()


# ---- backup and restore ----

@pytest.mark.unwatched("an older history is put back")
def test_backup_is_restored_by_the_documented_procedure(site):
    daemon = site.start("--workers", "1")
    kept, gone = site.create("kept"), site.create("gone")
    copy = site.root / "copy"
    receipt = json.loads(site.cli("journal", "backup", copy,
                                  "--json").out)["receipt"]
    assert copy.stat().st_mode & 0o777 == 0o600
    site.cli("journal", "backup", copy, rc=4)  # never over a file
    site.revoke(gone)
    lost = site.create("lost")
    time.sleep(1.1)
    assert daemon.stop() == 0
    shutil.copy(copy, site.journal)
    site.cli("create", "x", rc=4)
    site.cli("journal", "accept", receipt)
    site.start("--workers", "1")
    assert ask_all(site, [kept, gone, lost]) == ["VALID", "VALID", "UNKNOWN"]
    site.revoke(gone)
    assert site.word(gone) == "REVOKED"
    site.check()


def test_backups_while_others_write_and_compact_are_journals(site):
    site.start("--workers", "1")
    stop, failed = threading.Event(), []

    def admin():
        while not stop.is_set():
            site.create("x")
            compact(site)

    writer = threading.Thread(target=lambda: catch(admin, failed), daemon=True)
    writer.start()
    for i in range(12):
        site.cli("journal", "backup", site.root / f"copy{i}")
    stop.set()
    writer.join()
    assert not failed
    for i in range(12):
        with rig.a_site() as other:
            other.data.mkdir(mode=0o700)
            shutil.copy(site.root / f"copy{i}", other.journal)
            other.cli("journal", "check")
            token = other.create()
            other.start("--workers", "1")
            assert other.word(token) == "VALID"


def test_a_backup_that_cannot_be_written_leaves_nothing(site):
    site.create()
    copy = site.root / "copy"
    for call in ("pwrite64", "fsync", "fdatasync"):
        done = site.cli("journal", "backup", copy, rc=4, wrapper=rig.inject(
            call, "error=EIO:when=1"))
        assert len(lines(done.err)) == 1 and not copy.exists()
    done = site.cli("journal", "backup", site.root / "no" / "copy", rc=4)
    assert len(lines(done.err)) == 1


def test_a_backup_of_a_compacted_journal(site):
    valid, revoked = churn(site, 1)
    compact(site)
    site.cli("journal", "backup", site.root / "copy")
    state = site.list()
    with rig.a_site() as other:
        other.data.mkdir(mode=0o700)
        shutil.copy(site.root / "copy", other.journal)
        assert other.list() == state
        other.start("--workers", "1")
        assert set(ask_all(other, valid)) == {"VALID"}
        assert set(ask_all(other, revoked)) == {"REVOKED"}


# ---- tail ----

def test_tail_shows_the_last_ten_across_files(site):
    for i in range(6):
        site.create(f"name {i}")
    compact(site)
    for i in range(6, 8):
        site.create(f"name {i}")
    rows = [x.split("\t") for x in lines(site.cli("journal", "tail").out)]
    assert [r[3] for r in rows] == [f"name {i}" for i in range(8)]
    assert {r[1] for r in rows} == {"create"}
    assert all(len(r) == 6 and r[4] == str(os.getuid()) for r in rows)
    as_json = [json.loads(x) for x in
               site.cli("journal", "tail", "--json").out.splitlines()]
    assert [x["number"] for x in as_json] == list(range(1, 9))
    assert [x["op"] for x in as_json] == [r[5] for r in rows]
    for i in range(8, 13):
        site.create(f"name {i}")
    assert len(lines(site.cli("journal", "tail").out)) == 10


class Tail:
    def __init__(self, site, *options):
        self.process = subprocess.Popen(
            [rig.JETON, "journal", "tail", "--follow", *options],
            env=site.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)

    def next(self):
        return self.process.stdout.readline()


def test_tail_follows_over_compactions(site):
    site.create("first")
    tail = Tail(site, "--json")
    assert json.loads(tail.next())["name"] == "first"
    for i in range(12):
        token = site.create(f"name {i}")
        since = time.monotonic()
        row = json.loads(tail.next())
        assert time.monotonic() - since < 1 * rig.PATIENCE
        assert (row["number"], row["name"]) == (2 * i + 2, f"name {i}")
        if i % 3 == 0:
            compact(site)
        site.revoke(token, "--offline")
        if i % 4 == 0:
            compact(site)  # before that was looked for, perhaps
        row = json.loads(tail.next())
        assert (row["number"], row["type"]) == (2 * i + 3, "revoke")
    tail.process.send_signal(signal.SIGINT)
    assert tail.process.wait(5) == 0
    assert tail.process.stderr.read() == ""


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_tail_ends_on_a_signal(site, sig):
    site.create("first")
    tail = Tail(site)
    assert "first" in tail.next()
    tail.process.send_signal(sig)
    assert tail.process.wait(5) == 0
    assert tail.process.stderr.read() == ""


def test_tail_ends_with_its_reader(site):
    site.create("first")
    tail = Tail(site)
    assert "first" in tail.next()
    tail.process.stdout.close()
    assert tail.process.wait(5) in (0, -signal.SIGPIPE)
    assert tail.process.stderr.read() == ""


def test_tail_says_when_the_journal_is_another(site):
    site.create("first")
    shutil.copy(site.journal, site.root / "older")
    site.create("second")
    tail = Tail(site)
    assert "first" in tail.next() and "second" in tail.next()
    shutil.move(site.root / "older", site.journal)
    assert tail.process.wait(5) == 4
    assert len(lines(tail.process.stderr.read())) == 1


def test_dump_marks_what_is_state(site):
    valid, revoked = churn(site, 1)
    whole = site.dump()
    compact(site)
    site.create("after")
    now = site.dump()
    assert now[-1]["name"] == "after" and "state" not in now[-1]
    assert all(x["state"] for x in now[:-1])
    strip = [{k: v for k, v in x.items() if k not in ("state", "tag")}
             for x in now[:-1]]
    assert strip == [{k: v for k, v in x.items() if k != "tag"}
                     for x in whole]
