"""Seeing: list, expiring, unused, why, top, history, audit."""
import fcntl
import hashlib
import json
import os
import pty
import pwd
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

import rig
from rig import lines

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
USER = pwd.getpwuid(os.geteuid()).pw_name
HOSTILE = b"evil\x1b[2J\ttab\nline \xe2\x80\xae\xff"


def rows(text):
    return [x.split("\t") for x in text.splitlines()]


def objects(text):
    return [json.loads(x) for x in text.splitlines()]


def at_terminal(site, *args, width=80, height=24, rc=0):
    """What a person sees, without carriage returns."""
    main, sub = pty.openpty()
    fcntl.ioctl(sub, termios.TIOCSWINSZ,
                struct.pack("HHHH", height, width, 0, 0))
    p = subprocess.Popen([rig.JETON, *map(str, args)], stdin=sub, stdout=sub,
                         stderr=subprocess.PIPE, env=site.env)
    os.close(sub)
    out = b""
    try:
        while piece := os.read(main, 65536):
            out += piece
    except OSError:
        pass  # the other end is closed
    os.close(main)
    err = p.stderr.read().decode()
    assert p.wait(60) == rc, (args, err)
    text = out.decode().replace("\r\n", "\n")
    assert "\x1b" not in text
    return text


def columns(line):
    """Wide characters are not used in these tests, nor combining ones."""
    return len(line)


def forge(site, number, field, value):
    """Write VALUE into a record at FIELD and make the chain hold again, as
    whoever can write the file could."""
    data = bytearray(site.journal.read_bytes())
    jid = bytes(data[16:32])

    def at(n):
        return 12288 + 256 * (n - 1)

    start = at(number) + field
    data[start:start + len(value)] = value
    n = number
    tags = {}
    while data[at(n)]:
        previous = bytes(data[at(n) - 16:at(n)])
        tag = hashlib.blake2b(previous + data[at(n):at(n) + 240],
                              digest_size=16, person=b"jeton record").digest()
        data[at(n) + 240:at(n) + 256] = tags[n] = tag
        n += 1
    for which, page in enumerate((4096, 8192)):
        [committed] = struct.unpack_from("<Q", data, page + 8)
        if committed not in tags:
            continue
        data[page + 24:page + 40] = tags[committed]
        data[page + 496:page + 512] = hashlib.blake2b(
            data[page:page + 496], digest_size=16, salt=jid,
            person=b"jeton slot %d" % which).digest()
    site.journal.write_bytes(data)


NAME, OWNER, REASON, PLAN = 56 + 56, 56 + 120, 56, 56 + 48


@pytest.fixture(scope="module")
def three():
    """Three tokens, nobody serves; nothing in these tests changes them."""
    with rig.a_site() as s:
        s.cli("init")
        s.cli("plan", "set", "gold", "--rate", "5/s")
        s.tokens = [
            s.create("Bravo", "--owner", "web", "--expires", "10d"),
            s.create("Alpha", "--owner", "ops team", "--env", "test",
                     "--expires", "1y", "--scope", "a:read", "--scope",
                     "b:write", "--rate", "2/min", "--quota", "100/day"),
            s.create("Charlie", "--owner", "web", "--plan", "gold"),
        ]
        s.cli("suspend", s.tokens[2][:24], "--reason", "invoice overdue")
        yield s


# ---- list ----

def test_list_is_in_order_of_creation_unless_sorted(three):
    def names(*options):
        return [r[0] for r in rows(three.cli("list", *options).out)]

    assert names() == names("--sort", "created") == \
        ["Bravo", "Alpha", "Charlie"]
    assert names("--sort", "name") == ["Alpha", "Bravo", "Charlie"]
    assert names("--sort", "expires") == ["Bravo", "Charlie", "Alpha"]
    # nobody was used: what is equal stays as it was
    assert names("--sort", "used") == names("--sort", "uses") == names()
    assert "--sort" in three.cli("list", "--sort", "owner", rc=2).err


@pytest.mark.parametrize("options,expected", [
    (("--owner", "web"), ["Bravo", "Charlie"]),
    (("--owner", "w"), []),
    (("--env", "test"), ["Alpha"]),
    (("--name", "*a*"), ["Bravo", "Alpha", "Charlie"]),
    (("--name", "C*"), ["Charlie"]),
    (("--status", "suspended"), ["Charlie"]),
    (("--status", "active"), ["Bravo", "Alpha"]),
    (("--plan", "gold"), ["Charlie"]),
    (("--expiring-within", "30d"), ["Bravo"]),
    (("--owner", "web", "--status", "active"), ["Bravo"]),
])
def test_list_shows_what_was_chosen(three, options, expected):
    assert [r[0] for r in rows(three.cli("list", *options).out)] == expected
    assert [o["name"] for o in objects(three.cli("list", "--json", *options)
                                       .out)] == expected


def test_list_json_has_everything(three):
    bravo, alpha, charlie = three.list()
    assert set(bravo) == set(alpha) == set(charlie)
    assert {k: alpha[k] for k in ("id", "name", "env", "owner", "status",
                                  "plan", "rate", "burst", "quota", "scopes",
                                  "suspended", "old_value_until",
                                  "recoverable")} == {
        "id": three.tokens[1][:24], "name": "Alpha", "env": "test",
        "owner": "ops team", "status": "Active", "plan": None, "rate": "2/min",
        "burst": 2, "quota": "100/day", "scopes": ["a:read", "b:write"],
        "suspended": False, "old_value_until": None, "recoverable": False}
    assert (charlie["plan"], charlie["rate"], charlie["suspended"]) == \
        ("gold", "5/s", True)
    assert bravo["rate"] is bravo["burst"] is bravo["quota"] is None
    assert bravo["scopes"] == []
    # no sidecar has ever counted here
    assert bravo["uses"] is bravo["refusals"] is bravo["last_used"] is None
    assert STAMP.fullmatch(bravo["created"])


def test_show_json_has_all_that_list_has(three):
    for listed in three.list():
        shown = json.loads(three.cli("show", listed["id"], "--json").out)
        assert {k: shown.get(k, "nothing") for k in listed} == listed


def test_show_json_has_all_that_list_has_of_what_is_used(served):
    token = served.create("x", "--rate", "2/min", "--scope", "a:b", "--scope",
                          "c:*")
    served.create("never used")
    for _ in range(3):
        served.word(token)
    served.cli("rotate", token[:24])
    test_show_json_has_all_that_list_has(served)


def test_a_json_row_takes_nothing_from_the_row_before(served):
    """Each differs from the one before in a field or a few."""
    served.cli("plan", "set", "gold", "--rate", "5/s")
    steps = [
        (), (), ("--owner", "web"), ("--owner", "web"), ("--env", "dev"),
        ("--env", "dev", "--owner", "x" * 48), ("--expires", "10d"),
        ("--expires", "never"), ("--plan", "gold"), ("--scope", "a:read"),
        ("--scope", "a:read", "--scope", "b"), ("--rate", "2/min"),
        ("--rate", "2/min", "--burst", "9"), ("--quota", "3/day"), ()]
    tokens = [served.create(f'n{i} "\\é', *options)
              for i, options in enumerate(steps)]
    served.cli("suspend", tokens[3][:24])
    served.revoke(tokens[5])
    served.cli("rotate", tokens[7][:24], "--overlap", "1h")
    for i, n in ((0, 3), (1, 3), (8, 1)):
        for _ in range(n):
            assert served.word(tokens[i]) == "VALID"
    assert served.word(tokens[5]) == "REVOKED"
    among = served.cli("list", "--json").out.splitlines()
    assert len(among) == len(steps)
    assert [json.loads(row)["uses"] for row in among] == \
        [3, 3, 0, 0, 0, 0, 0, 0, 1] + [0] * 6
    assert json.loads(among[5])["refusals"] == 1
    for i, row in enumerate(among):
        alone = served.cli("list", "--json", "--name", f"n{i} *").out
        assert alone == row + "\n"
    backwards = served.cli("list", "--json", "--sort", "expires").out
    assert sorted(backwards.splitlines()) == sorted(among)


def test_list_at_80_columns(three):
    days = [DAY.match(o["expires"])[0] for o in three.list()]
    last = [(datetime.fromisoformat(d) - timedelta(seconds=1))
            .strftime("%Y-%m-%d") if o["expires"].endswith("T00:00:00Z")
            else d for d, o in zip(days, three.list())]
    ids = [t[:24] + "****" for t in three.tokens]
    assert at_terminal(three, "list") == f"""\
NAME     VALUE                         EXPIRES     STATUS
Bravo    {ids[0]}  {last[0]}  Active
Alpha    {ids[1]}  {last[1]}  Active
Charlie  {ids[2]}  {last[2]}  Suspended
"""


def test_list_long_at_80_columns(three):
    text = at_terminal(three, "list", "--long")
    assert [x for x in lines(text) if x.startswith(" ")] == [
        "    env live, owner web",
        "    env test, owner ops team, 2/min burst 2, 100/day, scope a:read,",
        "    scope b:write",
        "    env live, owner web, plan gold, 5/s burst 5, suspended"]
    assert max(map(columns, lines(text))) <= 80


def test_list_long_for_programs(three):
    got = rows(three.cli("list", "--long").out)
    assert [len(r) for r in got] == [14, 14, 14]
    assert got[1][4:9] == ["ops team", "test", "", "2/min burst 2, 100/day",
                           "a:read b:write"]
    assert got[2][13] == "suspended"


@pytest.mark.parametrize("width", [60, 80, 132])
def test_no_row_is_wider_than_the_terminal(site, width):
    site.create("A name that is as long as a name may be, sixty-four bytes " +
                "of it")
    site.create("Größe " * 8)
    site.create("short", "--owner", "o" * 48, "--scope", "s" * 47 + ":x")
    for verb in ("list", "list --long", "unused --days 0",
                 "expiring --within 1y"):
        text = at_terminal(site, *verb.split(), width=width,
                           rc=0 if verb.startswith("list") else 1)
        assert max(map(columns, lines(text))) <= width, text
        assert ("…" in text) == (width < 118)
        assert "jt_live_" in text


def test_hostile_names_reach_no_terminal(site):
    site.create("first")
    token = site.create("x" * 40, "--owner", "y" * 30)
    forge(site, 2, NAME, HOSTILE.ljust(40, b"\0"))
    forge(site, 2, OWNER, HOSTILE.ljust(30, b"\0"))
    shown = r"evil\x1b[2J\x09tab\x0aline \xe2\x80\xae\xff"
    for verb in (["list"], ["list", "--long"], ["history", token[:24]]):
        text = at_terminal(site, *verb, width=132)
        assert all(c >= " " for line in text.splitlines() for c in line)
        assert shown in text.replace("\n", "")
        assert at_terminal(site, *verb)  # at_terminal() looks for escapes
    assert rows(site.cli("list").out)[1][0] == shown
    assert site.list()[1]["name"] == shown  # 0xff is in no JSON
    history = rows(site.cli("history", token[:24]).out)
    assert f"name: {shown}; env: live; owner: {shown}" in history[0][3]
    assert len(history) == 1 and len(history[0]) == 6


@pytest.fixture(scope="module")
def hostile():
    """A journal whose every text was written by an enemy, but for scopes (what
    is no scope's name is refused), and a sidecar that serves it."""
    with rig.a_site() as s:
        s.create("first")
        s.cli("plan", "set", "p" * 32, "--rate", "1000000/s", "--burst",
              "9000000", "--quota", "137438953471/month")
        s.token = s.create("x" * 64, "--owner", "y" * 48, "--plan", "p" * 32,
                           "--scope", "s" * 48)
        s.cli("suspend", s.token[:24], "--reason", "r" * 60)
        s.cli("resume", s.token[:24])
        for r in s.dump():
            for field, size in {
                    "plan": [(PLAN, 32)], "reason": [(REASON, 60)],
                    "scope": [], "scopes": []}.get(
                        r["type"], [(NAME, 64), (OWNER, 48)]):
                if r["number"] > 1:
                    forge(s, r["number"], field, HOSTILE.ljust(size, b"\0"))
        last = s.dump()[-1]
        s.cli("journal", "accept", f"{last['number']}:{last['tag']}")
        s.start("--workers", "1")
        said = s.cli("verify", input=s.token).out
        assert said.startswith("verdict\tVALID\n") and "\x1b" not in said
        yield s


@pytest.mark.parametrize("verb,rc", [
    ("list", 0), ("list --long", 0), ("expiring --within 1y", 1),
    ("unused --days 0", 1), ("show {id}", 0), ("why {id}", 0),
    ("why {id} --scope a:b", 1), ("history {id}", 0), ("audit", 0), ("top", 0),
    ("plan list", 0), ("journal tail", 0), ("journal dump", 0)])
def test_hostile_text_disturbs_no_listing(hostile, verb, rc):
    args = verb.format(id=hostile.token[:24]).split()
    piped = hostile.cli(*args, rc=rc).out
    as_json = objects(hostile.cli(*args, "--json", rc=rc).out)
    assert as_json and "\x1b" not in piped and "\u202e" not in piped
    if args[0] not in ("why", "journal") or args[1] == "tail":
        assert r"evil\x1b[2J\x09tab\x0aline" in piped
    if args != ["journal", "dump"]:
        widths = {len(r) for r in rows(piped)}
        assert len(widths) == 1, piped
    if args == ["top"]:
        return  # draws its screen anew, see below
    text = at_terminal(hostile, *args, rc=rc)
    assert all(c >= " " and c != "\u202e" for line in text.splitlines()
               for c in line)
    if args[0] not in ("show", "journal") or args[1:] == ["tail"]:
        assert max(map(columns, lines(text))) <= 80, text


def test_hostile_text_does_not_disturb_the_screen_of_top(hostile):
    main, sub = pty.openpty()
    fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    p = subprocess.Popen([rig.JETON, "top"], stdin=sub, stdout=sub,
                         stderr=sub, env=hostile.env)
    out, end = b"", time.monotonic() + 30
    while b"MOST REFUSED" not in out and time.monotonic() < end:
        if select.select([main], [], [], 0.1)[0]:
            out += os.read(main, 65536)
    os.write(main, b"q")
    assert p.wait(5) == 0
    os.close(main)
    os.close(sub)
    text = out.decode().replace("\r\n", "\n").replace("\x1b[H\x1b[2J", "")
    assert r"evil\x1b[2J\x09tab" in text
    assert all(c >= " " for line in text.splitlines() for c in line)
    assert max(map(columns, lines(text))) <= 80


def test_plan_list_at_80_columns(site):
    site.cli("init")
    site.cli("plan", "set", "gold", "--rate", "5/s")
    site.cli("plan", "set", "p" * 32, "--rate", "1000000/s", "--burst",
             "9000000", "--quota", "137438953471/month")
    site.create("x", "--plan", "gold")
    assert at_terminal(site, "plan", "list") == f"""\
PLAN                                TOKENS  LIMITS
gold                                     1  5/s burst 5
{"p" * 32}         0  1000000/s burst 9000000,
                                            137438953471/month
"""
    assert rows(site.cli("plan", "list").out)[0] == ["gold", "1", "5/s burst 5"]


def test_journal_tail_at_80_columns(site):
    site.cli("init", "--max-lifetime", "2y")
    site.cli("plan", "set", "gold", "--rate", "5/s", "--reason", "why not")
    token = site.create("n" * 64, "--scope", "a:b")
    uid = os.geteuid()
    text = masked(at_terminal(site, "journal", "tail"))
    assert text.replace(token[:24], "ID" * 12) == f"""\
TTTT-TT-TTTTT:TT:TTZ  rules    -                         uid {uid}  OPERATIO
    2y
TTTT-TT-TTTTT:TT:TTZ  plan     plan 1                    uid {uid}  OPERATIO
    gold
TTTT-TT-TTTTT:TT:TTZ  reason   -                         uid {uid}  OPERATIO
    why not
TTTT-TT-TTTTT:TT:TTZ  scope    scope 1                   uid {uid}  OPERATIO
    a:b
TTTT-TT-TTTTT:TT:TTZ  scopes   scopes 1                  uid {uid}  OPERATIO
TTTT-TT-TTTTT:TT:TTZ  create   {"ID" * 12}  uid {uid}  OPERATIO
    {"n" * 64}
"""


def test_list_knows_uses_that_the_sidecar_counted(served):
    tokens = [served.create(f"t{i}", "--rate", "2/min") for i in range(3)]
    for i, n in ((2, 1), (1, 3)):
        for _ in range(n):
            served.word(tokens[i])
        time.sleep(1.1)
    assert [(o["uses"], o["refusals"], o["last_used"] is not None)
            for o in served.list()] == [(0, 0, False), (2, 1, True),
                                        (1, 0, True)]

    def names(*options):
        return [r[0] for r in rows(served.cli("list", *options).out)]

    assert names("--sort", "uses") == names("--sort", "used") == \
        ["t1", "t2", "t0"]
    text = at_terminal(served, "list", "--long")
    assert "2 uses, 1 refusals, last used " in text
    assert text.count("never used") == 1
    # a rotation takes the counts along, and so does the end of the sidecar
    served.cli("rotate", tokens[1][:24])
    assert served.list()[1]["uses"] == 2
    assert served.list()[1]["old_value_until"]
    served.daemons[0].stop()
    assert served.list()[1]["uses"] == 2


def test_purged_tokens_are_not_listed(site):
    token = site.create("gone", "--expires", "1s")
    site.create("here")
    time.sleep(1.1)
    site.cli("purge", "--dead-for", "0", "--yes")
    assert [o["name"] for o in site.list()] == ["here"]
    assert rows(site.cli("history", token[:24]).out)[-1][1] == "purge"


# ---- expiring, unused ----

def test_expiring_is_a_question_with_an_exit_code(three):
    done = three.cli("expiring", rc=1)
    assert [r[0] for r in rows(done.out)] == ["Bravo"]
    assert three.cli("expiring", "--within", "9d", rc=0).out == ""
    done = three.cli("expiring", "--within", "2y", rc=1)
    assert [(r[0], r[3]) for r in rows(done.out)] == [
        ("Bravo", "Active"), ("Charlie", "Suspended"), ("Alpha", "Active")]
    done = three.cli("expiring", "--within", "2y", "--owner", "ops team",
                     "--json", rc=1)
    assert [o["name"] for o in objects(done.out)] == ["Alpha"]
    assert three.cli("expiring", "--owner", "ops team", rc=0).out == ""
    assert "--within" in three.cli("expiring", "--within", "soon", rc=2).err
    assert at_terminal(three, "expiring", "--within", "1d") == ""


def test_expiring_leaves_out_what_is_over(site):
    revoked = site.create("revoked", "--expires", "10d")
    site.create("over", "--expires", "1s")
    site.create("soon", "--expires", "20d")
    site.revoke(revoked, "--offline")
    time.sleep(1.1)
    done = site.cli("expiring", rc=1)
    assert [r[0] for r in rows(done.out)] == ["soon"]


def test_unused_counts_from_creation_when_no_use_is_known(three):
    done = three.cli("unused", "--days", "0", rc=1)
    assert "no use is known" in done.err
    assert [r[0] for r in rows(done.out)] == ["Bravo", "Alpha"]
    assert [r[3] for r in rows(done.out)] == ["unknown"] * 2
    assert three.cli("unused", rc=0).out == ""
    for bad in ("x", "", "-1", "1.5", "100000", "9d"):
        assert "--days" in three.cli("unused", "--days", bad, rc=2).err


def test_unused_leaves_out_what_was_used(served):
    tokens = [served.create(f"t{i}") for i in range(3)]
    served.word(tokens[1])
    served.cli("suspend", tokens[2][:24])
    done = served.cli("unused", "--days", "0", rc=1)
    assert [(r[0], r[3] == "never") for r in rows(done.out)] == [
        ("t0", True), ("t1", False)]
    assert done.err == ""
    text = at_terminal(served, "unused", "--days", "0", rc=1)
    assert lines(text)[0].split() == ["NAME", "VALUE", "CREATED", "LAST",
                                      "USED"]
    done = served.cli("unused", "--days", "0", "--json", rc=1)
    assert [o["uses"] for o in objects(done.out)] == [0, 1]


# ---- why ----

STEPS = """UNKNOWN WRONG_ENVIRONMENT REVOKED SUSPENDED EXPIRED
	INSUFFICIENT_SCOPE QUOTA_EXCEEDED RATE_LIMITED""".split()


def why(site, token, *options, rc=None):
    answer = json.loads(site.cli("why", token[:24], *options, "--json",
                                 rc=rc).out)
    answer["failed"] = [s["step"] for s in answer["steps"] if not s["ok"]]
    answer["detail"] = {s["step"]: s["detail"] for s in answer["steps"]}
    return answer


def test_why_agrees_with_verify_and_spends_nothing(served):
    token = served.create("x", "--env", "prod", "--scope", "a:b", "--rate",
                          "2/min", "--quota", "3/day", "--expires", "3d")
    asks = [(), ("ENV", "prod"), ("ENV", "live"), ("ENV", "what is this"),
            ("SCOPE", "a:b"), ("SCOPE", "a:b", "SCOPE", "c:d"),
            ("COST", "0"), ("COST", "2"), ("COST", "3"), ("COST", "4")]

    def compare():
        with served.client() as c:
            for ask in asks:
                word, notes, steps = c("WHY", token[:24], *ask)
                options = [x for x in ask if ask[0] != "COST"]
                # what VERIFY says of the same, as far as a look can tell
                v = c.verify(token, *options, "COST", "0")
                if word.decode() in ("RATE_LIMITED", "QUOTA_EXCEEDED"):
                    assert v.word == "VALID"
                else:
                    assert (word.decode(), notes.decode()) == (v.word, v.notes)
                assert [s[0].decode() for s in steps[:8]] == STEPS
                failed = [s[0] for s in steps[:8] if not s[1]]
                assert (failed or [b"VALID"])[0] == word
            v = c.verify(token, "COST", "0")
            return v.remaining

    assert compare() == 2
    assert compare() == 2
    assert served.word(token) == "VALID"
    assert compare() == 1
    assert why(served, token, "--cost", "3", rc=1)["failed"] == \
        ["QUOTA_EXCEEDED", "RATE_LIMITED"]
    answer = why(served, token, "--cost", "2", rc=1)
    assert answer["verdict"] == "RATE_LIMITED"
    assert "NEVER" not in answer["notes"]
    assert "retry after" in answer["detail"]["RATE_LIMITED"]
    assert "NEVER" in why(served, token, "--cost", "9", rc=1)["notes"]
    served.cli("suspend", token[:24])
    compare()
    served.cli("resume", token[:24])
    served.revoke(token)
    compare()
    show = json.loads(served.cli("show", token[:24], "--json").out)
    assert (show["uses"], show["refusals"]) == (1, 0)


def test_why_tells_every_reason_and_not_only_the_first(served):
    token = served.create("x", "--env", "prod", "--scope", "a:b", "--rate",
                          "1/h", "--expires", "3s")
    assert served.word(token) == "VALID"
    served.cli("suspend", token[:24])
    time.sleep(3.1)
    answer = why(served, token, "--env", "live", "--scope", "c:d", "--scope",
                 "a:b", "--scope", "e:f", rc=1)
    assert answer["verdict"] == "WRONG_ENVIRONMENT"
    assert answer["failed"] == ["WRONG_ENVIRONMENT", "SUSPENDED", "EXPIRED",
                                "INSUFFICIENT_SCOPE", "RATE_LIMITED"]
    assert answer["detail"]["INSUFFICIENT_SCOPE"] == "c:d e:f"
    assert answer["detail"]["WRONG_ENVIRONMENT"] == "prod, asked for live"
    assert STAMP.fullmatch(answer["detail"]["EXPIRED"])
    answer = why(served, token, rc=1)
    assert answer["verdict"] == "SUSPENDED"
    assert f"`jeton resume {token[:24]}`" in answer["advice"]


def test_why_in_plain_sentences(served):
    token = served.create("x", "--scope", "a:b", "--rate", "2/min")
    expires = json.loads(served.cli("show", token[:24], "--json").out)[
        "expires"]
    assert at_terminal(served, "why", token[:24], "--scope", "c:d",
                       rc=1) == f"""\
  yes  The sidecar knows this id.
  yes  Its environment is live.
  yes  It was not revoked.
  yes  It is not suspended.
  yes  It works until {expires}.
  NO   It lacks scopes: c:d.
  yes  It has no quota.
  yes  Its rate allows it: 2 of 2 left, all again in 0 ms.
Verdict: INSUFFICIENT_SCOPE (SCOPE:c:d)
What to do: `jeton show {token[:24]}` tells the scopes that it has,
            `jeton set {token[:24]} --scope S ...` gives it others
"""
    done = served.cli("why", token[:24], rc=0)
    assert rows(done.out)[-2:] == [["verdict", "VALID", ""],
                                   ["advice", "", ""]]
    assert token[24:] not in done.out


def test_why_follows_a_rotation(served):
    token = served.create("x")
    new = served.cli("rotate", token[:24], "--overlap", "2s").out.strip()
    answer = why(served, token, rc=0)
    assert answer["steps"][-1]["step"] == "OLD_VALUE"
    assert answer["steps"][-1]["ok"]
    assert served.word(token) == served.word(new) == "VALID"
    rig.until(lambda: served.word(token) == "REVOKED", 5, "the overlap ends")
    answer = why(served, token, rc=0)
    assert answer["verdict"] == "VALID" and answer["failed"] == ["OLD_VALUE"]


def test_why_of_what_is_no_token(served):
    token = served.create()
    nobody = token[:23] + ("A" if token[23] != "A" else "B")
    answer = why(served, nobody, rc=1)
    assert answer["verdict"] == "UNKNOWN" and answer["failed"] == ["UNKNOWN"]
    for bad in ("x", token[:23], "jt_live_", "--json"):
        served.cli("why", bad, rc=2)
    assert token[24:] not in served.cli("why", token, rc=2).err
    served.cli("why", token[:24], "--cost", "x", rc=2)
    assert "SCOPE" in served.cli("why", token[:24], "--scope", "x" * 60,
                                 rc=2).err
    with served.client() as c:
        for args in ((token,), ("",), (token[:24], "ENV"), (), ("x", "y"),
                     (token[:24], "COST", "-1")):
            reply = c("WHY", *args)
            assert isinstance(reply, rig.Error) and reply.startswith("ERR ")
            assert token[24:] not in reply
        assert c("why", token[:24])[0] == b"VALID"
        docs = c("COMMAND", "DOCS", "why")
        assert b"spends nothing" in docs[1][1]


def test_why_without_a_sidecar_tells_what_the_journal_knows(site):
    token = site.create("x", "--expires", "30d")
    done = site.cli("why", token[:24], "--json", rc=3)
    answer = json.loads(done.out)
    assert answer["status"] == "Active" and STAMP.match(answer["expires"])
    assert "jetond" in done.err and "journal" in done.err
    site.cli("suspend", token[:24])
    assert "Suspended" in site.cli("why", token[:24], rc=3).out
    nobody = token[:23] + ("A" if token[23] != "A" else "B")
    done = site.cli("why", nobody, rc=3)
    assert "no token" in done.err and done.out == ""


# ---- top ----

@pytest.fixture
def busy(served):
    """Three tokens under load: the third most, and it is refused most."""
    served.tokens = [served.create(f"load {i}", "--rate", "40/s")
                     for i in range(3)]
    served.create("idle")
    stop = threading.Event()

    def load():
        with served.client() as c:
            while not stop.wait(0.02):
                for i, n in enumerate((0, 1, 4)):
                    for _ in range(n):
                        c.verify(served.tokens[i])
                c.verify("nonsense")

    thread = threading.Thread(target=load)
    thread.start()
    yield served
    stop.set()
    thread.join()


def test_top_once_for_programs(busy):
    top = json.loads(busy.cli("top", "--json").out)
    assert top["tokens"] == 4
    assert top["verdicts"]["VALID"]["per_s"] > 5
    assert top["verdicts"]["MALFORMED"]["per_s"] > 1
    most = top["most_refused"]
    assert [x["id"] for x in most] == [busy.tokens[2][:24]]
    assert most[0]["name"] == "load 2" and most[0]["refusals_per_s"] > 1
    assert {x["id"] for x in top["most_used"]} == {
        t[:24] for t in busy.tokens[1:]}  # who was never used is not there
    got = rows(busy.cli("top").out)
    assert all(len(r) == 5 for r in got)
    assert [r[1] for r in got if r[0] == "verdict"] == rig.WORDS
    assert [r[2] for r in got if r[0] == "refused"] == ["load 2"]
    assert all(float(r[3]) >= 0 and int(r[4]) >= 0 for r in got)


def test_top_on_a_terminal_is_drawn_anew_and_q_quits(busy):
    main, sub = pty.openpty()
    p = subprocess.Popen([rig.JETON, "top"], stdin=sub, stdout=sub,
                         stderr=sub, env=busy.env)
    out, end = b"", time.monotonic() + 30
    while out.count(b"\x1b[H\x1b[2J") < 3 and time.monotonic() < end:
        if select.select([main], [], [], 0.1)[0]:
            out += os.read(main, 65536)
    os.write(main, b"xq")
    assert p.wait(5) == 0
    os.close(main)
    os.close(sub)
    screens = out.decode().replace("\r\n", "\n").split("\x1b[H\x1b[2J")
    assert "\x1b" not in "".join(screens)
    screen = lines(screens[2])
    assert re.fullmatch(r"jeton top: 4 tokens, [\d.]+ verdicts per s; "
                        r"q quits", screen[0])
    assert "VALID:" in screen[1] and "MALFORMED:" in screen[1]
    used = next(x for x in screen if x.startswith("MOST USED"))
    assert used.split() == ["MOST", "USED", "ID", "PER", "S", "USES"]
    assert max(map(columns, screen)) <= 80
    assert len(screen) < 24


def test_top_gives_the_terminal_back(busy):
    main, sub = pty.openpty()
    before = termios.tcgetattr(sub)
    for sig in (signal.SIGINT, signal.SIGTERM):
        p = subprocess.Popen([rig.JETON, "top"], stdin=sub, stdout=sub,
                             stderr=sub, env=busy.env)
        rig.until(lambda: not termios.tcgetattr(sub)[3] & termios.ECHO, 20,
                  "it takes the keys")
        p.send_signal(sig)
        assert p.wait(5) == 0
        assert termios.tcgetattr(sub) == before
    os.close(main)
    os.close(sub)


def test_top_survives_a_compaction(busy):
    busy.cli("journal", "compact")
    top = json.loads(busy.cli("top", "--json").out)
    assert "load 2" in [x["name"] for x in top["most_used"]]


def test_top_without_a_sidecar_is_exit_3(site):
    site.create()
    done = site.cli("top", rc=3)
    assert len(lines(done.err)) == 1 and "jetond" in done.err
    assert site.cli("top", "--json", rc=3).out == ""


def test_control_words_of_top(served):
    token = served.create()
    served.word(token)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(served.run / "jeton-control.sock"))

        def ask(line):
            s.sendall(line + b"\n")
            got = b""
            while not got.endswith(b"\n"):
                got += s.recv(65536)
            return got.decode().split()

        first = ask(b"TOP 5")
        assert first[:4] == ["OK", "0", "1", "0"]
        assert first[5:] == ["1", "0", "0", "0"]
        served.word(token)
        assert ask(b"TOP 5") == first  # at most twice a second
        time.sleep(0.6)
        ok, span, used, refused, last, *counts = ask(b"TOP 5")
        assert int(span) >= 500 and counts == ["2", "0", "1", "0"]
        for bad in (b"TOP", b"TOP 0", b"TOP 33", b"TOP x", b"TOP 1 2"):
            assert ask(bad)[:2] == ["ERR", "USAGE"]


# ---- history, audit ----

@pytest.fixture(scope="module")
def story():
    """One token's life, and what happened around it."""
    with rig.a_site() as s:
        s.cli("init", "--max-lifetime", "2y")
        s.cli("plan", "set", "gold", "--rate", "10/s", "--reason", "first")
        s.id = s.create("CI runner", "--plan", "gold", "--owner", "web",
                        "--scope", "a:b", "--expires", "30d")[:24]
        s.cli("plan", "set", "gold", "--quota", "5/day")
        s.cli("rename", s.id, "CI", "--reason", "shorter")
        s.cli("set", s.id, "--rate", "3/min", "--scope", "a:b", "--scope",
              "c:d", "--owner", "ops")
        s.cli("rotate", s.id, "--overlap", "2h")
        s.cli("suspend", s.id, "--reason", "invoice overdue")
        s.cli("resume", s.id)
        s.bulk(150, name="crowd")
        s.cli("revoke", "--name", "crowd *", "--yes", "--offline",
              "--reason", "no more of them")
        s.cli("renew", s.id, "--expires", "90d")
        s.cli("rotate", s.id, "--finish")
        s.cli("revoke", s.id, "--offline", "--reason", "laptop lost")
        yield s


VERBS = ["create", "rename", "set", "rotate", "suspend", "resume", "renew",
         "finish", "revoke"]


def test_history_tells_what_became_of_what(story):
    got = objects(story.cli("history", story.id, "--json").out)
    assert [x["verb"] for x in got] == VERBS
    changes = {x["verb"]: {c["field"]: (c["from"], c["to"])
                           for c in x["changes"]} for x in got}
    assert changes["create"]["name"] == (None, "CI runner")
    assert set(changes["create"]) == {"name", "env", "owner", "expires",
                                      "plan", "scopes"}
    assert changes["rename"] == {"name": ("CI runner", "CI")}
    assert changes["set"] == {"owner": ("web", "ops"),
                              "limits": ("none", "3/min burst 3"),
                              "scopes": ("a:b", "a:b c:d")}
    assert changes["rotate"]["value"] == ("the one before", "a new one")
    assert set(changes["rotate"]) == {"value", "old_value_until"}
    assert changes["suspend"] == {"status": ("active", "suspended")}
    assert changes["resume"] == {"status": ("suspended", "active")}
    assert set(changes["renew"]) == {"expires"}
    assert set(changes["finish"]) == {"old_value_until"}
    assert changes["revoke"] == {"status": ("active", "revoked")}
    assert [x["reason"] for x in got] == [
        None, "shorter", None, None, "invoice overdue", None, None, None,
        "laptop lost"]
    assert len({x["op"] for x in got}) == 9
    assert {(x["user"], x["uid"]) for x in got} == {(USER, os.geteuid())}


def masked(text):
    text = STAMP.sub("TTTT-TT-TTTTT:TT:TTZ", text)
    return re.sub(r"\b[0-9a-f]{8}(?:[0-9a-f]{24})?$", "OPERATIO", text,
                  flags=re.M).replace(
        USER, "USER")


def test_history_at_80_columns(story):
    assert masked(at_terminal(story, "history", story.id)) == """\
TTTT-TT-TTTTT:TT:TTZ  create   by USER  operation OPERATIO
    name: CI runner
    env: live
    owner: web
    expires: TTTT-TT-TTTTT:TT:TTZ
    plan: gold
    scopes: a:b
TTTT-TT-TTTTT:TT:TTZ  rename   by USER  operation OPERATIO
    name: CI runner -> CI
    reason: shorter
TTTT-TT-TTTTT:TT:TTZ  set      by USER  operation OPERATIO
    owner: web -> ops
    limits: none -> 3/min burst 3
    scopes: a:b -> a:b c:d
TTTT-TT-TTTTT:TT:TTZ  rotate   by USER  operation OPERATIO
    value: the one before -> a new one
    old_value_until: none -> TTTT-TT-TTTTT:TT:TTZ
TTTT-TT-TTTTT:TT:TTZ  suspend  by USER  operation OPERATIO
    status: active -> suspended
    reason: invoice overdue
TTTT-TT-TTTTT:TT:TTZ  resume   by USER  operation OPERATIO
    status: suspended -> active
TTTT-TT-TTTTT:TT:TTZ  renew    by USER  operation OPERATIO
    expires: TTTT-TT-TTTTT:TT:TTZ -> TTTT-TT-TTTTT:TT:TTZ
TTTT-TT-TTTTT:TT:TTZ  finish   by USER  operation OPERATIO
    old_value_until: TTTT-TT-TTTTT:TT:TTZ -> TTTT-TT-TTTTT:TT:TTZ
TTTT-TT-TTTTT:TT:TTZ  revoke   by USER  operation OPERATIO
    status: active -> revoked
    reason: laptop lost
"""


def test_audit_has_a_line_for_each_operation(story):
    got = objects(story.cli("audit", "--json").out)
    assert [(x["verb"], x["tokens"], x["reason"]) for x in got] == [
        ("rules", 0, None), ("plan", 0, "first"), ("create", 1, None),
        ("plan", 0, None), ("rename", 1, "shorter"), ("set", 1, None),
        ("rotate", 1, None), ("suspend", 1, "invoice overdue"),
        ("resume", 1, None), ("create", 150, None),
        ("revoke", 150, "no more of them"), ("renew", 1, None),
        ("finish", 1, None), ("revoke", 1, "laptop lost")]
    assert got[2]["ids"] == [story.id] and len(got[9]["ids"]) == 100
    assert got[1]["event"] == "10/s burst 10"
    assert got[3]["event"] == "10/s burst 10 -> 5/day"
    assert got[0]["first"] == 1
    assert [x["first"] for x in got[1:]] == [x["last"] + 1 for x in got[:-1]]
    assert got[-1]["last"] == story.dump()[-1]["number"]
    ops = {x["op"]: x for x in got}
    for x in objects(story.cli("history", story.id, "--json").out):
        assert ops[x["op"]]["verb"] == x["verb"]
    assert [len(r) for r in rows(story.cli("audit").out)] == [8] * len(got)


def test_audit_at_80_columns(story):
    text = masked(at_terminal(story, "audit")).replace(story.id, "ID" * 12)
    assert lines(text)[0].rstrip() == (
        "TIME                  USER        VERB     WHAT"
        "                      OPERATION")
    assert "create   150 tokens                OPERATIO\n" in text
    assert f"suspend  {'ID' * 12}  OPERATIO\n    invoice overdue\n" in text
    assert "rules    rules                     OPERATIO\n" \
        "    no token lives longer than 2y\n" in text
    assert max(map(columns, lines(text))) <= 80


def test_audit_of_one_owner_or_id(story):
    def verbs(*options):
        return [x["verb"] for x in
                objects(story.cli("audit", "--json", *options).out)]

    assert verbs("--id", story.id) == VERBS
    assert verbs("--owner", "web") == ["create", "rename"]
    assert verbs("--owner", "ops", "--id", story.id) == VERBS[2:]
    assert verbs("--owner", "nobody") == []
    story.cli("audit", "--id", "x", rc=2)


def test_audit_of_a_time(story):
    def count(*options):
        return len(story.cli("audit", *options).out.splitlines())

    today = datetime.now(timezone.utc)
    day = today.strftime("%Y-%m-%d")
    tomorrow = (today + timedelta(days=1)).strftime("%Y-%m-%d")
    yesterday = (today - timedelta(days=1)).strftime("%Y-%m-%d")
    everything = count()
    assert everything == 14
    assert count("--since", "1h") == count("--since", yesterday) == everything
    assert count("--since", tomorrow) == 0
    assert count("--since", yesterday, "--until", tomorrow) == everything
    assert count("--until", "1h") == 0
    assert count("--until", f"{yesterday}T00:00:00Z") == 0
    if datetime.now(timezone.utc).strftime("%Y-%m-%d") == day and \
            today.hour > 0:
        assert count("--since", day, "--until", day) == everything
    for bad in ("x", "2026-13-01", "2026-02-30", "1", "30d ago", "99y"):
        assert "--since" in story.cli("audit", "--since", bad, rc=2).err


def test_history_and_audit_go_on_through_archives(story):
    with rig.a_site() as s:
        s.data.mkdir(mode=0o700)
        for f in ("journal", "anchor", "journal.lock"):
            (s.data / f).write_bytes((story.data / f).read_bytes())
            (s.data / f).chmod(0o600)
        before = [s.cli(*v).out for v in (("history", story.id), ("audit",))]
        for _ in range(2):
            s.cli("journal", "compact")
            assert [s.cli(*v).out for v in (("history", story.id),
                                            ("audit",))] == before
        token = s.create("later")
        s.rename = s.cli("rename", token[:24], "later still")
        assert s.cli("audit").out.startswith(before[1])
        (s.data / "journal.000001").rename(s.root / "away")
        done = s.cli("history", story.id)
        assert "journal.000001" in done.err
        # the first and the last that is known of it is still told
        assert [r[1] for r in rows(done.out)] == \
            [rows(before[0])[0][1]] + [r[1] for r in rows(done.out)][1:-1] + \
            ["revoke"]
        done = s.cli("audit")
        assert "journal.000001" in done.err
        assert [r[1:3] for r in rows(done.out)] == [
            [USER, "create"],
            [USER, "rename"]]


def test_history_of_nobody_is_exit_1(story):
    nobody = story.id[:23] + ("A" if story.id[23] != "A" else "B")
    done = story.cli("history", nobody, rc=1)
    assert done.out == "" and len(lines(done.err)) == 1
    story.cli("history", "x", rc=2)
    story.cli("history", rc=2)


def test_hostile_reason_reaches_no_terminal(site):
    token = site.create("x")
    site.cli("rename", token[:24], "y", "--reason", "r" * 60)
    reason = next(r["number"] for r in site.dump() if r["type"] == "reason")
    forge(site, reason, REASON, HOSTILE.ljust(60, b"\0"))
    for verb in (["history", token[:24]], ["audit"]):
        text = at_terminal(site, *verb)
        assert r"evil\x1b[2J\x09tab\x0aline" in text.replace("\n", "")
        got = rows(site.cli(*verb).out)
        assert len(got) == 2 and got[0][0] and "evil" in got[1][-2]


@pytest.mark.parametrize("verb", [
    "list", "expiring", "unused", "history jt_live_AAAAAAAAAAAAAAAA",
    "audit"])
def test_without_a_journal_is_exit_4(site, verb):
    done = site.cli(*verb.split(), rc=4)
    assert done.out == "" and len(lines(done.err)) == 1
