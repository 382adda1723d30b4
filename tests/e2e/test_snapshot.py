"""Starts from a snapshot: through the real binaries, with every lie told."""
import hashlib
import os
import re
import shutil
import signal
import struct

import pytest

import rig
from history import History
from rig import encode
from test_deny import deny, lock_held, well

N = 110_000  # more than what a start replays without a snapshot


def told(site):
    return site.status()["snapshot"]


def written(site, number=None):
    """A snapshot is there, up to NUMBER."""
    number = number or site.status()["committed"]
    rig.until(lambda: told(site)["number"] == number, 60, "snapshot written",
              step_s=0.05)


def checked(site):
    rig.until(lambda: told(site)["checked"] != "no", 60, "snapshot checked",
              step_s=0.05)
    return told(site)["checked"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A site with N tokens, a snapshot of them, and some changes behind it."""
    root = tmp_path_factory.mktemp("snapshot")
    site = rig.Site(root)
    site.tokens = site.bulk(N)
    daemon = site.start("--capacity", N)
    assert told(site)["start"] == "journal"
    written(site, N)
    daemon.stop()
    daemon = site.start("--capacity", N)
    site.revoke(site.tokens[0])
    site.cli("suspend", site.tokens[1][:24])
    site.extra = site.create("behind it")
    daemon.stop()
    return site


@pytest.fixture
def site(library, tmp_path, request, record_property):
    """A copy of it that may be ruined; the history checker knows the past."""
    site = rig.Site(tmp_path)
    shutil.copytree(library.data, site.data)
    os.chmod(site.data, 0o700)
    site.tokens, site.extra = library.tokens, library.extra
    if not request.node.get_closest_marker("unwatched"):
        site.history = History(site)
        known = [*site.tokens[:200], site.extra]
        site.history.values("\n".join(known), 0, 0)
        site.history.done(["revoke", site.tokens[0]], 0, "", 0, 0)
        site.history.done(["suspend", site.tokens[1]], 0, "", 0, 0)
    yield site
    site.end()
    if site.history:
        record_property("history", site.history.check())


def expect_all(site):
    assert site.word(site.tokens[0]) == "REVOKED"
    assert site.word(site.tokens[1]) == "SUSPENDED"
    assert site.word(site.tokens[2]) == "VALID"
    assert site.word(site.tokens[-1]) == "VALID"
    assert site.word(site.extra) == "VALID"
    assert site.word(rig.other_secret(site.tokens[2])) in ("UNKNOWN",
                                                           "WRONG_SECRET")
    assert site.status()["tokens"] == N + 1


def start(site, expect, *flags):
    daemon = site.start("--capacity", N, *flags)
    assert told(site)["start"] == expect, daemon.log()
    expect_all(site)
    return daemon


def ignored(site, why):
    daemon = start(site, "journal")
    lines = [x for x in daemon.log().splitlines() if "is ignored" in x]
    assert len(lines) == 1 and why in lines[0], daemon.log()
    assert site.status()["health"] == "ok"


def poke(path, at, mask=0x40):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ mask]))


def test_start_takes_the_snapshot_and_what_is_behind_it(site):
    daemon = start(site, "snapshot")
    assert told(site)["start_number"] == N
    assert checked(site) == "yes"
    assert site.status()["health"] == "ok"
    assert "ignored" not in daemon.log()
    out = site.cli("status").out
    assert re.search(rf"snapshot up to record {N}, \d+ s old, checked: yes",
                     out), out


def test_changes_go_on_from_a_snapshot(site):
    daemon = start(site, "snapshot")
    site.revoke(site.tokens[2])
    made = site.create("later")
    daemon.stop()
    daemon = site.start("--capacity", N)
    assert site.word(site.tokens[2]) == "REVOKED"
    assert site.word(made) == "VALID"
    daemon.stop()
    site.start("--capacity", N, "--snapshot", 0)
    assert told(site)["start"] == "journal"
    assert site.word(site.tokens[2]) == "REVOKED"
    assert site.word(made) == "VALID"


def start_and_ask(site, tokens):
    """The first word of each that is not LOADING: asked over and over on a
    connection of before it serves."""
    daemon, words = site.start("--capacity", N, wait=False), {}
    batch = b"".join(encode("VERIFY", t) for t in tokens)

    def ask(c):
        c.raw(batch)
        for t in tokens:
            reply = c.read()
            if not isinstance(reply, rig.Error):
                words.setdefault(t, rig.verdict(reply).word)
            else:
                assert reply.startswith("LOADING"), reply

    def asked():
        assert daemon.process.poll() is None, daemon.log()
        try:  # or it is a killed one's door still
            with site.client() as c:
                while len(words) < len(tokens):
                    ask(c)
        except (OSError, rig.Closed):
            return False
        return True
    rig.until(asked, 20 * rig.PATIENCE, "answers", step_s=0.001)
    daemon.wait()
    return [words[t] for t in tokens]


WAITING = 9000  # denying all of them takes a moment


def test_what_waits_in_deny_is_denied_from_the_first_answer_on(site):
    """Nobody gets the journal's lock: revokes wait in `deny`, one of a token
    that the snapshot has, one of a later one, and many more. Killed, and
    started from a snapshot that is older than they are; then from one that was
    written while they waited, which has no more than the journal."""
    daemon = start(site, "snapshot")
    gone, kept = [site.tokens[5], site.extra], site.tokens[6]
    more = site.tokens[1000:1000 + WAITING]
    asked = [*gone, more[-1], kept]
    right = ["REVOKED"] * 3 + ["VALID"]
    with lock_held(site):
        done = site.cli("revoke", *[t[:24] for t in gone], "--yes")
        assert "deny" in done.err
        assert deny(site, *more) == (WAITING + 2, 0)
        daemon.kill()
        for number in N, N + 3:
            assert start_and_ask(site, asked) == right, number
            assert site.status()["pending_revokes"] == WAITING + 2
            assert told(site)["start"] == "snapshot"
            assert told(site)["start_number"] == number
            site.daemons[-1].kill()
            if number == N:
                os.unlink(site.data / "snapshot")
                assert start_and_ask(site, asked) == right
                assert told(site)["start"] == "journal"
                written(site, N + 3)
                site.daemons[-1].kill()
    assert start_and_ask(site, asked) == right
    rig.until(lambda: well(site), 30, "recorded")
    ids = {t[:24] for t in [*gone, *more]}
    assert {x["status"] for x in site.list() if x["id"] in ids} == {"Revoked"}


def test_another_capacity_takes_the_snapshot_too(site):
    daemon = site.start("--capacity", 3 * N)
    assert told(site)["start"] == "snapshot"
    expect_all(site)
    assert site.status()["capacity"] >= 3 * N
    assert checked(site) == "yes"
    daemon.stop()


def test_snapshot_0_neither_reads_nor_writes_one(site):
    start(site, "journal", "--snapshot", 0)
    assert told(site)["number"] == 0


def test_one_that_is_gone_is_written_anew(site):
    os.unlink(site.data / "snapshot")
    start(site, "journal")
    written(site)


@pytest.mark.parametrize("at,why", [
    (0, "does not begin"), (100, "checksum"), (4100, "table"),
    (-1000, "sum of a block"), (-1, "sum of a block")])
def test_damaged_snapshot_is_ignored(site, at, why):
    size = os.path.getsize(site.data / "snapshot")
    poke(site.data / "snapshot", at % size)
    ignored(site, why)


def test_cut_snapshot_is_ignored(site):
    size = os.path.getsize(site.data / "snapshot")
    os.truncate(site.data / "snapshot", size - 1)
    ignored(site, "another length")


def test_snapshot_that_others_may_write_is_ignored(site):
    os.chmod(site.data / "snapshot", 0o666)
    ignored(site, "others may write")


def test_snapshot_that_is_a_link_is_ignored(site):
    os.rename(site.data / "snapshot", site.root / "elsewhere")
    os.symlink(site.root / "elsewhere", site.data / "snapshot")
    ignored(site, "symbolic link")


def blake(data, person):
    return hashlib.blake2b(data, digest_size=16,
                           person=person.ljust(16, b"\0")).digest()


def test_one_that_asks_for_all_memory_is_ignored(site):
    """A sparse file with right sums: more tokens than any machine holds."""
    path, n = site.data / "snapshot", 1 << 30
    head = bytearray(path.read_bytes()[:4096])
    per, slots, blocks = 16384, n + n * 2 // 5 + 1, []
    struct.pack_into("<Q", head, 88, n)   # capacity
    struct.pack_into("<QQ", head, 128, n, n)  # tokens, values
    struct.pack_into("<IIIIII", head, 144, n, 2**32 - 1, 0, 0, 0, 0)
    struct.pack_into("<QQ", head, 104, 1, struct.unpack_from(
        "<Q", head, 112)[0])
    struct.pack_into("<Q", head, 120, 0)
    blocks.append((4, 8, 0))
    blocks += [(5, 48 * per, i) for i in range(0, n, per)]
    blocks += [(6, (min(per, slots - i) + 63) // 64 * 8, i)
               for i in range(0, slots, per)]
    table = b"".join(struct.pack("<IIQ16x", *b) for b in blocks)
    struct.pack_into("<I", head, 12, len(blocks))
    head[176:192] = blake(table, b"jeton snap table")
    head[4080:] = blake(bytes(head[:4080]), b"jeton snapshot")
    with open(path, "r+b") as f:
        f.write(head)
        f.write(table)
        f.truncate((4096 + len(table) + 4095) // 4096 * 4096 +
                   sum(b[1] for b in blocks))
    ignored(site, "memory")


def test_refusal_after_a_snapshot_names_it(site):
    """What a record behind it changes is not in it: the start says whose
    word was taken, and without that file it is none."""
    def lie(head):
        struct.pack_into("<Q", head, 80,
                         struct.unpack_from("<Q", head, 80)[0] ^ 1)  # seed
    path = site.data / "snapshot"
    head = bytearray(path.read_bytes()[:4096])
    lie(head)
    head[4080:] = blake(bytes(head[:4080]), b"jeton snapshot")
    with open(path, "r+b") as f:
        f.write(head)
    daemon = site.start("--capacity", N, wait=False)
    assert daemon.process.wait(20) != 0
    assert f"made from {path}" in daemon.log()
    os.unlink(path)
    start(site, "journal")


def test_what_a_killed_clerk_left_goes_before_room_is_looked_for(site):
    os.unlink(site.data / "snapshot")
    with open(site.data / "snapshot.new", "wb") as f:
        f.truncate(1 << 20)
    start(site, "journal")
    written(site)
    assert not (site.data / "snapshot.new").exists()


def test_compaction_leaves_no_old_state_behind(site):
    site.cli("journal", "compact")
    ignored(site, "another one since")
    written(site)


@pytest.mark.unwatched("an older history is put back")
def test_restored_backup_with_a_newer_snapshot(site):
    """The journal of before, the snapshot of now: the journal counts."""
    daemon = site.start("--capacity", 3 * N)
    before = site.status()["committed"]
    site.cli("journal", "backup", site.root / "backup")
    site.bulk(N, name="more")
    written(site)
    daemon.stop()
    shutil.copy(site.root / "backup", site.data / "journal")
    # an old copy is refused as ever, snapshot or not
    daemon = site.start("--capacity", 3 * N, wait=False)
    assert daemon.process.wait(20) != 0
    assert "older" in daemon.log()
    os.unlink(site.data / "anchor")
    daemon = site.start("--capacity", 3 * N)
    assert told(site)["start"] == "journal"
    assert "newer than the journal" in daemon.log()
    assert site.status()["committed"] == before
    expect_all(site)


def test_damage_in_front_of_the_snapshot_is_red(site):
    poke(site.journal, 12288 + 256 * 500 + 90)
    daemon = start(site, "snapshot")
    assert checked(site) == "damaged"
    status = site.cli("status", "--json", rc=None)
    assert "record 501" in site.status()["why"], status
    assert "byte 140288" in site.status()["why"]
    said = site.cli("journal", "check", rc=None)
    assert site.status()["why"] in said.err
    assert "health is red" in daemon.log()


def test_damage_behind_the_snapshot_refuses_the_start(site):
    poke(site.journal, 12288 + 256 * (N + 1) + 90)
    daemon = site.start("--capacity", 3 * N, wait=False)
    assert daemon.process.wait(20) != 0
    assert f"record {N + 2}" in daemon.log()


def test_killed_clerk_leaves_the_old_snapshot_or_the_new(site):
    size = os.path.getsize(site.data / "snapshot")
    daemon = site.start("--capacity", 3 * N)
    assert checked(site) == "yes"
    site.bulk(N, name="more")
    rig.until(lambda: (site.data / "snapshot.new").exists(), 60, "it is begun",
              step_s=0.001)
    daemon.kill()
    assert os.path.getsize(site.data / "snapshot") >= size
    daemon = site.start("--capacity", 3 * N)
    assert told(site)["start"] == "snapshot"
    assert site.status()["tokens"] == 2 * N + 1
    assert site.word(site.tokens[0]) == "REVOKED"
    written(site)
    assert not (site.data / "snapshot.new").exists()


def test_clerk_holds_no_identity_and_no_lock(site):
    daemon = site.start("--capacity", 3 * N)
    assert checked(site) == "yes"
    site.bulk(N, name="more")
    pid = rig.until(lambda: clerk_of(site, daemon), 60, "there is a clerk",
                    step_s=0.001)
    os.kill(pid, signal.SIGSTOP)
    fds = [os.readlink(f"/proc/{pid}/fd/{n}")
           for n in os.listdir(f"/proc/{pid}/fd")]
    maps = open(f"/proc/{pid}/maps").read()
    expendable = open(f"/proc/{pid}/oom_score_adj").read()
    os.kill(pid, signal.SIGCONT)
    assert int(expendable) == 1000
    assert int(open(f"/proc/{daemon.pid}/oom_score_adj").read()) < 1000
    assert not any("lock" in f or "sock" in f for f in fds), fds
    keeper = {x.split()[4] for x in open(f"/proc/{daemon.pid}/maps")
              if "jeton-identity" in x}
    assert not any(x.split()[4] in keeper for x in maps.splitlines()
                   if "jeton-identity" in x), maps
    theirs = {x.split()[4] for x in open(f"/proc/{daemon.pid}/maps")
              if "jeton-meters" in x}
    assert not any(x.split()[4] in theirs for x in maps.splitlines()
                   if "jeton-meters" in x), maps


def clerk_of(site, daemon):
    """The keeper's child that is neither a worker nor the scribe."""
    status = site.status()
    if status["snapshot"]["work"] != "writing":
        return None
    known = {w["pid"] for w in status["workers"]} | {status["scribe"]}
    children = open(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read()
    for pid in map(int, children.split()):
        if pid not in known:
            return pid
    return None
