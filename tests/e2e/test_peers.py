"""Callers on this host, told apart by uid: rights, limits, counts.

A test becomes another user for the moment of a connect(), which is what the
kernel remembers; only root can.
"""
import json
import multiprocessing
import os
import pty
import select
import signal
import statistics
import time
from contextlib import contextmanager, suppress

import pytest

import rig
from rig import Closed, Error, encode, verdict

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root to become others")

WEB, CI, BACKUP = 61001, 61002, 61003  # no such users
GROUP = 61100


@contextmanager
def user(uid, groups=()):
    before = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def client(site, uid, groups=()):
    with user(uid, groups):
        return site.client()


def configure(site, text):
    path = site.root / "conf"
    path.write_text(text)
    return path


def start(site, text, workers=2):
    daemon = site.start("--workers", workers, "--config",
                        configure(site, text))
    site.root.chmod(0o711)
    site.sock.chmod(0o666)
    return daemon


def reload(site, text):
    """Rules hold from the next round on; that they do is the test's matter."""
    configure(site, text)
    os.kill(site.daemons[-1].pid, signal.SIGHUP)


def callers(site):
    return {c["uid"]: c for c in site.status()["callers"]}


def peers(site):
    """INFO's section: {uid: {name: number}}."""
    with site.client() as c:
        text = c("INFO", "peers").decode()
    rows = [line.split(":") for line in text.split("\r\n") if ":" in line]
    return {name.removeprefix("peer_"):
            {k: int(v) for k, v in (x.split("=") for x in row.split(","))}
            for name, row in rows}


RULES = f"""
[peer web]
uid = {WEB}
verify = live
see = scopes
connections = 3

[peer group]
gid = {GROUP}
verify = yes

[peer ci]
uid = {CI}
verify = no

[peer root]
uid = 0
"""


# ---- rights ----

def test_who_may_not_verify_hears_noperm(site):
    start(site, RULES)
    token = site.create()
    for uid in (CI, BACKUP):  # by its rule, and by none
        with client(site, uid) as c:
            for args in (("VERIFY", token), ("MVERIFY", 1, token),
                         ("WHY", token[:24]), ("VERIFY", token, "COST", "x")):
                answer = c(*args)
                assert isinstance(answer, Error), answer
                assert answer.startswith("NOPERM ") and token not in answer
            assert c("PING") == "PONG" and c("HELLO", 3)
            assert c.stats()["tokens"] == 1
    with client(site, BACKUP, [GROUP]) as c:  # a supplementary group
        assert c.verify(token).word == "VALID"
    assert site.word(token) == "VALID"
    assert callers(site)[CI]["admitted"] == 0
    assert callers(site)[BACKUP]["admitted"] == 1


def test_caller_is_confined_to_its_environments(site):
    start(site, RULES)
    live, test = site.create(), site.create("t", "--env", "test")
    with client(site, WEB) as c:
        assert c.verify(live).word == "VALID"
        assert c.verify(live, "ENV", "live").word == "VALID"
        assert c.verify(test).word == "WRONG_ENVIRONMENT"
        assert c.verify(test, "ENV", "test").word == "WRONG_ENVIRONMENT"
        both = [verdict(v).word for v in c("MVERIFY", 2, live, test)]
        assert both == ["VALID", "WRONG_ENVIRONMENT"]
        assert c("WHY", test[:24])[0] == b"WRONG_ENVIRONMENT"
        assert c("WHY", live[:24])[0] == b"VALID"
    assert site.word(test) == site.word(test, "ENV", "test") == "VALID"


def test_caller_who_may_not_see_owners_sees_none(site):
    start(site, RULES)
    token = site.create("x", "--owner", "ann")
    with client(site, WEB) as c:
        assert c.verify(token).owner == ""
        c.send("VERIFY", token)
        assert b"ann" not in c.sock.recv(4096)
    assert site.verify(token).owner == "ann"


def test_rules_change_for_open_connections(site):
    start(site, RULES)
    token = site.create()
    with client(site, WEB) as c, client(site, CI) as d:
        assert c.verify(token).word == "VALID"
        assert d("VERIFY", token).startswith("NOPERM ")
        reload(site, RULES.replace(f"uid = {WEB}", "uid = 1")
               .replace("verify = no", "verify = yes"))
        rig.until(lambda: isinstance(c("VERIFY", token), Error), 5, "SIGHUP")
        assert d.verify(token).word == "VALID"


# ---- connections ----

def test_connections_of_a_user_are_counted_over_workers(site):
    daemon = start(site, RULES, workers=2)
    token = site.create()
    mine = [client(site, WEB) for _ in range(3)]
    assert all(c.verify(token).word == "VALID" for c in mine)
    assert len({w["connections"] for w in site.status()["workers"]
                if w["door"] == "resp"} - {0}) >= 1
    for _ in range(4):
        with client(site, WEB) as c:
            assert c.drain() == (b"-BUSY too many connections of this user; "
                                 b"try again\r\n")
    with client(site, BACKUP, [GROUP]) as c:  # others are not
        assert c.verify(token).word == "VALID"
    assert callers(site)[WEB]["connections"] == 3
    assert callers(site)[WEB]["busy"] == 4
    mine.pop().close()
    rig.until(lambda: callers(site)[WEB]["connections"] == 2, 5, "it left")
    mine.append(client(site, WEB))
    assert mine[-1].verify(token).word == "VALID"
    # the dead hold no connections
    for pid in daemon.worker_pids():
        os.kill(pid, signal.SIGKILL)
    daemon.wait()
    rig.until(lambda: callers(site)[WEB]["connections"] == 0, 5, "buried")
    for c in mine:
        c.close()
    again = [client(site, WEB) for _ in range(3)]
    assert all(c.verify(token).word == "VALID" for c in again)


def take_all(site, uid):
    """Connections of that user until it has only heard BUSY for a while."""
    mine, in_a_row = [], 0
    while in_a_row < 40:
        c = client(site, uid)
        with suppress(BrokenPipeError):  # it may be told and closed already
            c.send("PING")
        answer = c.read()
        if answer == "PONG":
            mine.append(c)
            in_a_row = 0
            continue
        assert answer.startswith("BUSY "), answer
        c.close()
        in_a_row += 1
    return mine


def want_more(site, uid):
    """Over and over, until killed."""
    with user(uid):
        while True:
            with site.client() as c:
                c.drain()


def turned_away(site):
    with client(site, BACKUP) as c:
        return int(c.info()["rejected_connections"])


def come_and_verify(site, uid, token):
    """A connection and its first answer: seconds."""
    begin = time.perf_counter()
    with client(site, uid) as c:
        assert c.verify(token).word == "VALID"
    return time.perf_counter() - begin


def test_one_user_who_opens_everything_does_not_shut_out_another(
        site, record_property):
    """No rule limits anybody; one takes every place that it can get and goes
    on asking for more."""
    site.start("--workers", "2", "--connections", "64")
    site.root.chmod(0o711)
    site.sock.chmod(0o666)
    token = site.create()
    quiet = statistics.median(come_and_verify(site, BACKUP, token)
                              for _ in range(50))
    taken = take_all(site, WEB)
    assert 100 < len(taken) <= 128
    p = multiprocessing.Process(target=want_more, args=(site, WEB),
                                daemon=True)
    p.start()
    try:
        before = turned_away(site)
        rig.until(lambda: turned_away(site) > before, 5, "wants more")
        took = sorted(come_and_verify(site, BACKUP, token) for _ in range(100))
        with client(site, BACKUP) as a, client(site, BACKUP) as b:
            for _ in range(200):
                assert a.verify(token).word == b.verify(token).word == "VALID"
        assert all(c.verify(token).word == "VALID" for c in taken)
    finally:
        p.kill()
        p.join()
    # each worker may be looking at one that it refuses
    assert callers(site)[WEB]["connections"] <= 128 + 2
    busy = turned_away(site)
    assert busy - before > 100, "that was no storm"
    record_property("figure", f"{len(taken)} taken, {busy} turned away; "
                    f"another is served after {took[50] * 1000:.2f} ms, "
                    f"{quiet * 1000:.2f} when alone")
    assert took[50] < max(20 * quiet, 0.02 * rig.PATIENCE), took
    for c in taken:
        c.close()
    rig.until(lambda: callers(site)[WEB]["connections"] == 0, 5, "left")
    assert come_and_verify(site, WEB, token) < 5


# ---- refusals ----

LIMITED = f"""
[peer ci]
uid = {CI}
refusals = 20/s

[peer all]
"""


def test_refusals_of_a_user_are_limited_over_workers(site):
    start(site, LIMITED, workers=2)
    token = site.create()
    bad = rig.other_secret(token)
    with client(site, CI) as a, client(site, CI) as b:
        begun = time.monotonic()
        words = {"UNKNOWN": 0, "BUSY": 0}
        while time.monotonic() < begun + 3:
            for c in (a, b):
                answer = c("VERIFY", bad)
                words["BUSY" if isinstance(answer, Error)
                      else verdict(answer).word] += 1
        took = time.monotonic() - begun
        assert 20 <= words["UNKNOWN"] <= 20 + 20 * took + 2
        assert words["BUSY"] > 100
        # now its good tokens suffer, too, for a moment; others' do not
        for args in (("VERIFY", token), ("MVERIFY", 1, token)):
            rig.until(lambda: a("VERIFY", bad) and isinstance(
                answer := b(*args), Error) and answer.startswith(
                    "BUSY too many refused tokens"), 5, args[0])
        assert a("PING") == "PONG"
        assert site.word(token) == "VALID" and site.word(bad) == "UNKNOWN"
        rig.until(lambda: isinstance(b("VERIFY", token), list), 5, "refill")
    row = callers(site)[CI]
    assert row["refused"] >= words["UNKNOWN"] and row["busy"] > words["BUSY"]


def flood(clients, batch):
    """Bad tokens, as fast as they are taken, until killed."""
    socks = [c.sock for c in clients]
    for s in socks:
        s.setblocking(False)
    while True:
        readable, writable, _ = select.select(socks, socks, [])
        for s in readable:
            s.recv(1 << 18)
        for s in writable:
            s.send(batch)


def slice_of(c, token, seconds=0.25):
    """Verifications in that time, and the 99th percentile of their time."""
    took, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        assert c.verify(token).word == "VALID"
        took.append(time.perf_counter() - begun)
    took.sort()
    return len(took), took[len(took) * 99 // 100]


def beside_a_flood(site):
    """Slices in turn with a flood and without it: medians of both."""
    token = site.create()
    batch = encode("VERIFY", rig.other_secret(token)) * 256
    flooding = [client(site, CI) for _ in range(4)]
    with client(site, WEB) as c:
        p = multiprocessing.Process(target=flood, args=(flooding, batch),
                                    daemon=True)
        p.start()
        slices = {signal.SIGSTOP: [], signal.SIGCONT: []}
        for _ in range(8):
            for sig in slices:
                os.kill(p.pid, sig)
                time.sleep(0.02)
                slices[sig].append(slice_of(c, token))
        p.kill()
        p.join()
    for f in flooding:
        f.close()
    return [[statistics.median(s[i] for s in slices[sig]) for i in (0, 1)]
            for sig in (signal.SIGSTOP, signal.SIGCONT)]


def test_flood_of_bad_tokens_does_not_slow_others(site):
    start(site, LIMITED, workers=1)
    quiet, flooded = beside_a_flood(site)
    row = callers(site)[CI]
    print(f"quiet {quiet}, flooded {flooded}, {row}")
    assert row["busy"] > 1000, "that was no flood"
    assert (flooded[0] > quiet[0] / 2 or flooded[1] < quiet[1] * 2), \
        (quiet, flooded)


# ---- counts ----

def test_callers_are_listed(site):
    start(site, "", workers=2)
    token = site.create()
    with client(site, WEB) as c, client(site, WEB) as d:
        for _ in range(5):
            c.verify(token)
        c("MVERIFY", 2, token, "x")
        d.verify("y")
        assert peers(site)[str(WEB)] == {
            "connections": 2, "admitted": 6, "refused": 2, "busy": 0}
        # what the waiting for the start had opened may not be closed yet
        rig.until(lambda: peers(site)["0"]["connections"] == 1, 5, "closed")
        assert callers(site)[WEB] == {
            "uid": WEB, "connections": 2, "admitted": 6, "refused": 2,
            "busy": 0}
        done = site.cli("status")
        assert f"uid {WEB}, connections 2 now, 6 admitted" in done.out
        assert "uid 0 (root), " in done.out
        listed = json.loads(site.cli("status", "--json").out)["callers"]
        assert {x["uid"] for x in listed} == {0, WEB}
        totals = c.stats()
        assert totals["verdict_VALID"] == 6
    rig.until(lambda: peers(site)[str(WEB)]["connections"] == 0, 5, "left")


def test_users_without_a_place_share_one(site):
    start(site, "", workers=1)
    token = site.create()
    for uid in range(WEB, WEB + 40):
        with client(site, uid) as c:
            assert c.verify(token).word == "VALID"
    rows = peers(site)
    assert len(rows) == 32 and rows["others"]["admitted"] == 40 - 30
    assert callers(site)[None]["admitted"] == 10


def terminal(site, token):
    ours, its = pty.openpty()
    site.cli("rotate", "--status", token[:24], stdout=its)
    os.close(its)
    shown = os.read(ours, 4096).decode().replace("\r\n", "\n")
    os.close(ours)
    return shown


def test_user_of_an_old_value_is_named(site):
    daemon = start(site, "", workers=1)
    old = site.create()
    new = site.cli("rotate", old[:24], "--overlap", "1h").out.strip()

    def status():
        return json.loads(site.cli("rotate", "--status", old[:24],
                                   "--json").out)
    assert "old_value_used_by" not in status()
    with client(site, WEB) as c:
        c.verify(new)
        assert "old_value_used_by" not in status()
        c.verify(old)
    assert status()["old_value_used_by"] == WEB
    assert f"\nOld value used by:  uid {WEB}\n" in terminal(site, old)
    time.sleep(1.1)
    site.verify(old)
    assert status()["old_value_used_by"] == 0
    assert "uid 0 (root)" in terminal(site, old)
    daemon.stop()
    start(site, "", workers=1)
    assert "old_value_used_by" not in status(), "it is not saved"
    assert status()["old_value_used"][:2] == "20", "but when is"
