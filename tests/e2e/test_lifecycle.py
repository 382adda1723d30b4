"""What can happen to a token after it was made: every verb, taken at its word,
with a sidecar and without, on a terminal and in a pipe."""
import json
import os
import pty
import re
import resource
import select
import subprocess
import time
from datetime import datetime, timedelta, timezone

import pytest

import rig
from rig import lines
from test_bad_input import refused

DAY_S = 86400


# ---- helpers ----

def terminal(site, *args, answer=None, rc=0):
    """Run jeton on a terminal of 80 columns; all that it shows."""
    main, sub = pty.openpty()
    os.set_inheritable(sub, True)
    subprocess.run(["stty", "cols", "80", "rows", "24", "-echo"], stdin=sub,
                   check=True)
    p = subprocess.Popen([rig.JETON, *map(str, args)], stdin=sub, stdout=sub,
                         stderr=sub, env=site.env)
    os.close(sub)
    if answer is not None:
        os.write(main, answer.encode())
    shown, end = b"", time.monotonic() + 60 * rig.PATIENCE
    while time.monotonic() < end:
        if not select.select([main], [], [], 0.05)[0]:
            continue
        try:
            piece = os.read(main, 65536)
        except OSError:  # EIO: nobody has the other end any more
            break
        if not piece:
            break
        shown += piece
    os.close(main)
    assert p.wait(10) == rc, shown
    return shown.decode().replace("\r\n", "\n")


GOLD = [(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
        (r"\b\d{4}-\d\d-\d\d\b", "<day>"), (r"\b\d+:[0-9a-f]{32}", "<receipt>"),
        (r"\bjt_[a-z]+_[0-9A-Za-z]{16}", "<id>"), (r"\bin \d+ days\b",
                                                   "in <n> days"),
        (r"\bin 2[34] hours\b", "in <n> hours")]


def golden(text):
    """With what differs from run to run replaced."""
    assert "\x1b" not in text
    for pattern, name in GOLD:
        text = re.sub(pattern, name, text)
    return text


def one_json(done):
    [line] = lines(done.out)
    return json.loads(line)


def show(site, token):
    return one_json(site.cli("show", token[:24], "--json"))


def field(done, key):
    """Of a sheet that was piped."""
    rows = dict(x.split("\t", 1) for x in lines(done.out))
    return rows[key]


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def now():
    return datetime.now(timezone.utc)


def is_about(text, expected):
    return abs((at(text) - expected).total_seconds()) < 10 * rig.PATIENCE


def answers(site, values, *options):
    """Of each value all that does not move by itself."""
    with site.client() as c:
        got = [c.verify(v, "COST", 0, *options) for v in values]
    return [(v.word, v.status, v.id, v.limit, v.owner, v.notes) for v in got]


# ---- quotas that roll over: begun first, looked at last ----

class Spent:
    """Tokens whose quota of a minute is used up, and what happens to it."""

    def __init__(self, site):
        self.site = site
        site.start("--workers", "1")
        while time.time() % 60 > 50:
            time.sleep(0.2)
        self.minute = time.time() // 60
        site.cli("plan", "set", "three", "--quota", "3/1min")
        site.cli("plan", "set", "five", "--quota", "5/1min")
        self.own = site.create("own", "--quota", "3/1min")
        self.by_plan = site.create("by plan", "--plan", "three")
        self.moved = site.create("moved", "--plan", "three")
        self.hours = site.create("hours", "--quota", "2/48h")
        self.words = {}
        with site.client() as c:
            for name in ("own", "by_plan", "moved", "hours"):
                token = getattr(self, name)
                self.words[name] = [c.verify(token) for _ in range(4)]
        site.cli("set", self.moved[:24], "--plan", "five")
        self.after_move = [site.verify(self.moved) for _ in range(3)]
        self.in_time = time.time() // 60 == self.minute


# of the session, not of this file: a minute passes while others run
@pytest.fixture(scope="session", autouse=True)
def spent():
    with rig.a_site() as site:
        yield Spent(site)


def test_a_quota_admits_so_many_and_then_says_when_to_come_back(spent):
    assert spent.in_time, "the machine is too slow for this"
    for name, quota in (("own", 3), ("by_plan", 3), ("hours", 2)):
        got = spent.words[name]
        assert [v.word for v in got] == \
            ["VALID"] * quota + ["QUOTA_EXCEEDED"] * (4 - quota)
        assert [v.limit for v in got] == [quota] * 4
        assert [v.remaining for v in got[:quota]] == [*range(quota)][::-1]
        last, span_ms = got[-1], 60000 if name != "hours" else 48 * 3600000
        assert last.status == 429 and 0 < last.retry_after_ms <= span_ms + 1000


def test_what_was_used_of_a_quota_stays_used_over_a_change_of_plan(spent):
    assert [v.word for v in spent.after_move] == ["VALID", "VALID",
                                                  "QUOTA_EXCEEDED"]
    assert [v.limit for v in spent.after_move] == [5] * 3
    assert [v.remaining for v in spent.after_move] == [1, 0, 0]


@pytest.mark.last
def test_a_quota_begins_anew_with_its_next_window(spent):
    # a new one, and enough of it to use the quota up once more
    while time.time() // 60 == spent.minute or time.time() % 60 > 55:
        time.sleep(0.1)
    for token, quota in ((spent.own, 3), (spent.by_plan, 3), (spent.moved, 5)):
        with spent.site.client() as c:
            got = [c.verify(token).word for _ in range(quota + 1)]
        assert got == ["VALID"] * quota + ["QUOTA_EXCEEDED"]
    # its window is longer
    assert spent.site.word(spent.hours) == "QUOTA_EXCEEDED"


# ---- create ----

def test_create_with_quota_plan_and_scopes(shared):
    shared.cli("plan", "set", "c-plan", "--rate", "50/s", "--quota", "9/week")
    done = shared.cli("create", "x", "--json", "--plan", "c-plan", "--rate",
                      "7/s", "--scope", "b:x", "--scope", "a:*")
    token = one_json(done)["token"]
    s = show(shared, token)
    # its own rate stands before the plan's; the quota is the plan's
    assert (s["plan"], s["rate"], s["quota"]) == ("c-plan", "7/s", "9/week")
    assert s["scopes"] == ["a:*", "b:x"]
    assert shared.verify(token, "SCOPE", "a:1", "SCOPE", "b:x").limit in (7, 9)


def test_create_from_a_table_with_all_columns(shared):
    shared.cli("plan", "set", "t-plan", "--rate", "20/s")
    tokens = shared.bulk(
        6, columns="name,quota,plan,scopes,owner",
        row='{name} {i},{i}1/day,t-plan,"r:{i} w:*",table')
    for i, t in enumerate(tokens):
        s = show(shared, t)
        assert s["quota"] == f"{int(f'{i}1')}/day" and s["plan"] == "t-plan"
        assert shared.word(t, "SCOPE", f"r:{i}", "SCOPE", "w:a") == "VALID"
        assert shared.verify(t, "SCOPE", "r:9").notes == "SCOPE:r:9"


@pytest.mark.parametrize("options", [
    ["--quota", "5"], ["--quota", "0/day"], ["--quota", "-1/day"],
    ["--quota", "5/s"], ["--quota", "5/fortnight"], ["--quota", "1.5/day"],
    ["--quota", "5/0min"], ["--quota", "137438953472/day"], ["--quota", ""],
    ["--quota", "5/day/day"], ["--quota", "5 /day"],
    ["--plan", "Gold"], ["--plan", "x" * 33], ["--plan", "a b"], ["--plan", ""],
    ["--scope", "a b c\x1b"], ["--scope", "*a"], ["--scope", "a:"],
    ["--scope", ":a"], ["--scope", "a::b"], ["--scope", "a:*:b"],
    ["--scope", "a*"], ["--scope", "x" * 65], ["--scope", "é"],
    ["--scope", ""]])
def test_create_refuses_what_makes_no_sense(shared, options):
    refused(shared, 2, "create", "x", *options)


def test_create_with_a_plan_that_there_is_not(shared):
    refused(shared, 1, "create", "x", "--plan", "nosuch", said="plan")


def test_more_than_sixteen_scopes_are_refused(shared):
    many = [x for i in range(17) for x in ("--scope", f"s:{i}")]
    refused(shared, 2, "create", "x", *many, said="16")
    token = shared.create("x", *many[:32])
    assert shared.word(token, *[x.upper() if x[0] == "-" else x
                                for x in ("SCOPE", "s:15")]) == "VALID"


# ---- scopes ----

@pytest.mark.parametrize("has,asked,missing", [
    (["orders:read"], ["orders:read"], None),
    (["orders:read"], ["orders:write"], "orders:write"),
    (["orders:read"], ["orders"], "orders"),
    (["orders:read"], ["orders:read:own"], "orders:read:own"),
    (["orders:*"], ["orders:read"], None),
    (["orders:*"], ["orders:read:own"], None),
    (["orders:*"], ["orders"], "orders"),
    (["orders:*"], ["ordersx:read"], "ordersx:read"),
    (["orders:*"], ["Orders:read"], "Orders:read"),
    (["*"], ["anything", "at:all:here"], None),
    ([], ["x"], "x"),
    (["a", "b"], ["a", "b", "c", "d"], "c"),
    (["a:b:*"], ["a:b:c"], None), (["a:b:*"], ["a:c"], "a:c"),
    (["orders:*"], ["orders:*"], None),
    (["orders:read"], ["orders:*"], "orders:*"),
    (["orders:read"], ["*"], "*"),
])
def test_scopes_grant_what_they_say(shared, has, asked, missing):
    token = shared.create("s", *[x for s in has for x in ("--scope", s)])
    v = shared.verify(token, *[x for s in asked for x in ("SCOPE", s)])
    if missing is None:
        assert v.word == "VALID" and v.notes == ""
    else:
        assert v.word == "INSUFFICIENT_SCOPE" and v.status == 403
        assert v.notes == f"SCOPE:{missing}"
    assert shared.word(token) == "VALID"  # who asks for none, gets no refusal


def test_set_replaces_all_scopes_and_none_takes_them(shared):
    token = shared.create("s", "--scope", "a", "--scope", "b")
    shared.cli("set", token[:24], "--scope", "c:*")
    assert shared.word(token, "SCOPE", "c:x") == "VALID"
    assert shared.word(token, "SCOPE", "a") == "INSUFFICIENT_SCOPE"
    shared.cli("set", token[:24], "--scope", "none")
    assert shared.word(token, "SCOPE", "c:x") == "INSUFFICIENT_SCOPE"
    assert show(shared, token)["scopes"] == []


def test_a_refused_scope_spends_nothing(shared):
    token = shared.create("s", "--scope", "a", "--quota", "2/day")
    with shared.client() as c:
        for _ in range(5):
            assert c.verify(token, "SCOPE", "b").word == "INSUFFICIENT_SCOPE"
        assert [c.verify(token, "SCOPE", "a").word for _ in range(3)] == \
            ["VALID", "VALID", "QUOTA_EXCEEDED"]


# ---- renew ----

def test_renew_gives_a_later_expiry_and_leaves_all_else(shared):
    token = shared.create("r", "--expires", "2d", "--owner", "o", "--rate",
                          "9/s", "--scope", "s:1")
    before = show(shared, token)
    assert shared.verify(token).notes == "EXPIRING"
    done = shared.cli("renew", token[:24], "--expires", "90d", "--json")
    assert is_about(one_json(done)["expires"], now() + timedelta(days=90))
    after = show(shared, token)
    assert {k for k in before if after[k] != before[k]} <= \
        {"expires", "record", "uses", "last_used"}
    v = shared.verify(token, "SCOPE", "s:1")
    assert v.word == "VALID" and v.notes == ""
    assert abs(v.expires_in_s - 90 * DAY_S) < 60


def test_renew_never_shortens_unless_told_to(shared):
    token = shared.create("r", "--expires", "1y")
    before = show(shared, token)["expires"]
    done = refused(shared, 1, "renew", token[:24], "--expires", "30d",
                   said="--shorten")
    assert before in done.err
    assert show(shared, token)["expires"] == before
    shared.cli("renew", token[:24], "--expires", "30d", "--shorten")
    assert abs(shared.verify(token).expires_in_s - 30 * DAY_S) < 60


def test_renew_of_many_passes_over_those_that_end_later(shared):
    early = [shared.create(f"e{i}", "--owner", "renew many", "--expires", "3d")
             for i in range(2)]
    late = shared.create("l", "--owner", "renew many", "--expires", "1y")
    before = show(shared, late)["expires"]
    done = shared.cli("renew", "--owner", "renew many", "--expires", "60d",
                      "--yes")
    assert "passed over: 1" in done.err
    assert [x.split("\t")[0] for x in lines(done.out)] == \
        [t[:24] for t in early]
    assert show(shared, late)["expires"] == before
    assert all(abs(shared.verify(t).expires_in_s - 60 * DAY_S) < 60
               for t in early)


def test_an_expired_token_that_is_renewed_works_again(shared):
    token = shared.create("r", "--expires", "1s")
    rig.until(lambda: shared.word(token) == "EXPIRED", 5, "expiry")
    shared.cli("renew", token[:24], "--expires", "1d")
    assert shared.word(token) == "VALID"


@pytest.mark.parametrize("when", ["5x", "0d", "-1d", "5y", "2001-01-01", "",
                                  "2027-02-30", "1461d 1d"])
def test_renew_refuses_what_is_no_time(shared, when):
    token = shared.create("r")
    refused(shared, 2, "renew", token[:24], "--expires", when)


def test_renew_without_an_expiry(shared, spent):
    refused(shared, 2, "renew", spent.own[:24], said="--expires")


def test_expiring_within_chooses_those_and_no_others(shared):
    made = {days: shared.create(f"w{days}", "--owner", "within", "--expires",
                                f"{days}d") for days in (3, 20, 40)}
    gone = shared.create("gone", "--owner", "within", "--expires", "1s")
    rig.until(lambda: shared.word(gone) == "EXPIRED", 5, "expiry")
    done = shared.cli("renew", "--owner", "within", "--expiring-within", "30d",
                      "--expires", "1y", "--yes", "--json")
    got = {json.loads(x)["id"] for x in lines(done.out)}
    assert got == {made[3][:24], made[20][:24]}
    assert shared.word(gone) == "EXPIRED"
    assert abs(shared.verify(made[40]).expires_in_s - 40 * DAY_S) < 60


# ---- rename ----

@pytest.mark.parametrize("name", [
    "x", "y" * 64, "é" * 32, "😀" * 16, "日本語", "-dash", "--yes", "a\\b",
    "a\"b'c", "%s%n", "$(id)", "; rm -rf /", "a/b/../c", " x "])
def test_rename_takes_every_harmless_name(shared, name):
    token = shared.create("old")
    shared.cli("rename", "--", token[:24], name)
    assert show(shared, token)["name"] == name
    [row] = [x for x in shared.cli("list").out.splitlines()
             if token[:24] in x]
    assert row.split("\t")[0] == name.replace("\\", "\\x5c")
    assert shared.word(token) == "VALID"


@pytest.mark.parametrize("name", [
    "", "y" * 65, "é" * 32 + "x", "😀" * 16 + "x", "x" * 300, "a\x1b[2J", "\r",
    "a\nb", "a\tb", "\x7f", "\u009b31m", "\u202eevil", "a\u2066b", "\u200fx",
    "\u2028", "\ufeff"])
def test_rename_refuses_what_acts_on_a_screen_or_is_too_long(shared, name):
    token = shared.create("old")
    done = refused(shared, 2, "rename", token[:24], name)
    assert name not in done.err or not name
    assert show(shared, token)["name"] == "old"


@pytest.mark.parametrize("raw", [b"\xff", b"a\xc3", b"\xf0\x9f\x98"])
def test_rename_refuses_what_is_no_utf8(shared, raw):
    token = shared.create("old")
    refused(shared, 2, "rename", token[:24], os.fsdecode(raw))


def test_a_name_may_not_hold_a_value(shared):
    token = shared.create("old")
    other = shared.create("other")
    done = refused(shared, 2, "rename", token[:24], f"key {other}")
    assert other[24:40] not in done.err


def test_renaming_to_the_same_name_records_nothing(shared):
    token = shared.create("same")
    records = len(shared.dump())
    done = shared.cli("rename", token[:24], "same")
    assert "already renamed" in done.err and len(shared.dump()) == records


# ---- set and plans ----

def test_a_rate_is_in_force_with_the_next_request(shared):
    token = shared.create("s")
    with shared.client() as c:
        assert c.verify(token).limit == -1
        shared.cli("set", token[:24], "--rate", "2/h")
        assert [c.verify(token).word for _ in range(3)] == \
            ["VALID", "VALID", "RATE_LIMITED"]
        # the debt of two in an hour is at most the new burst
        shared.cli("set", token[:24], "--rate", "1000/s", "--burst", "1")
        v = rig.until(lambda: (v := c.verify(token)).word == "VALID" and v, 2,
                      "the debt is clamped")
        assert v.limit == 1
        shared.cli("set", token[:24], "--rate", "none")
        assert c.verify(token).limit == -1


def test_what_is_not_given_stays(shared):
    token = shared.create("s", "--owner", "first", "--rate", "5/s", "--burst",
                          "9", "--quota", "100/day", "--scope", "a")
    shared.cli("set", token[:24], "--owner", "second")
    s = show(shared, token)
    assert (s["owner"], s["rate"], s["burst"], s["quota"], s["scopes"]) == \
        ("second", "5/s", 9, "100/day", ["a"])
    shared.cli("set", token[:24], "--quota", "none")
    s = show(shared, token)
    assert (s["rate"], s["burst"], s["quota"]) == ("5/s", 9, None)
    shared.cli("set", token[:24], "--burst", "3")
    assert show(shared, token)["burst"] == 3
    shared.cli("set", token[:24], "--owner", "none", "--rate", "none")
    s = show(shared, token)
    assert (s["owner"], s["rate"], s["quota"]) == ("", None, None)
    assert shared.verify(token).owner == ""


def test_a_plan_that_changes_changes_for_all_who_have_it(shared):
    shared.cli("plan", "set", "vary", "--rate", "10/s", "--burst", "10")
    tokens = [shared.create(f"p{i}", "--plan", "vary") for i in range(3)]
    own = shared.create("own", "--plan", "vary", "--rate", "4/s")
    with shared.client() as c:
        assert [c.verify(t).limit for t in (*tokens, own)] == [10, 10, 10, 4]
        shared.cli("plan", "set", "vary", "--rate", "20/s", "--quota",
                   "2/day")
        assert [c.verify(t).limit for t in (*tokens, own)] == [2, 2, 2, 4]
        assert c.verify(own, "COST", 0).word == "VALID"
        assert [c.verify(own).limit for _ in range(2)][1] == 2
        assert c.verify(own).word == "QUOTA_EXCEEDED"  # of the plan
        shared.cli("plan", "set", "vary", "--rate", "30/s")
        assert [c.verify(t).limit for t in (*tokens, own)] == [30, 30, 30, 4]
        assert {c.verify(t, "COST", 0).word for t in tokens} == {"VALID"}


def test_the_debt_of_a_slow_plan_is_clamped_by_a_fast_one(shared):
    shared.cli("plan", "set", "slow", "--rate", "1/day", "--burst", "5")
    tokens = [shared.create(f"d{i}", "--plan", "slow") for i in range(3)]
    with shared.client() as c:
        for t in tokens:
            assert [c.verify(t).word for _ in range(6)] == \
                ["VALID"] * 5 + ["RATE_LIMITED"]
        shared.cli("plan", "set", "slow", "--rate", "100/s", "--burst", "5")
        for t in tokens:
            rig.until(lambda: c.verify(t).word == "VALID", 2, "clamped")


def test_moving_to_another_plan_and_back_grants_nothing_twice(shared):
    shared.cli("plan", "set", "day-a", "--quota", "4/day")
    shared.cli("plan", "set", "day-b", "--quota", "6/day")
    token = shared.create("m", "--plan", "day-a")
    with shared.client() as c:
        got = [c.verify(token).word for _ in range(5)]
        for plan in ("day-b", "day-a", "day-b"):
            shared.cli("set", token[:24], "--plan", plan)
            got += [c.verify(token).word for _ in range(3)]
    assert got.count("VALID") == 6


def test_set_to_a_plan_that_there_is_not(shared, spent):
    refused(shared, 1, "set", spent.own[:24], "--plan", "nosuch", said="plan")


@pytest.mark.parametrize("options", [
    [], ["--rate", "5"], ["--quota", "x"], ["--burst", "0"],
    ["--owner", "a\nb"], ["--owner", "o" * 49], ["--scope", "a b!"],
    ["--plan", "Not A Plan"], ["--rate", ""], ["--reason", "x" * 185],
    ["--owner", "x", "--reason", "a\nb"], ["--owner", "x", "--reason", ""]])
def test_set_refuses_what_makes_no_sense(shared, options):
    token = shared.create("s")
    refused(shared, 2, "set", token[:24], *options)


def test_a_burst_alone_needs_a_rate_of_its_own(shared):
    token = shared.create("s")
    refused(shared, 2, "set", token[:24], "--burst", "5", said="rate")


@pytest.mark.parametrize("wrong", [
    ["--rate", "5"], ["--burst", "x"], ["--quota", "5/year"],
    ["--quota", "137438953472/day"]])
def test_of_several_limits_the_wrong_one_is_named(shared, wrong):
    token = shared.create("s")
    given = {"--rate": "5/s", "--burst": "7", "--quota": "9/day"}
    given[wrong[0]] = wrong[1]
    options = [x for pair in given.items() for x in pair]
    for verb in (["create", "x"], ["set", token[:24]], ["plan", "set", "p"]):
        done = refused(shared, 2, *verb, *options, said=wrong[0] + " is ")
        assert f"see `jeton help {' '.join(verb[:-1])}`" in done.err


def test_setting_what_is_so_already_records_nothing(shared):
    token = shared.create("s", "--owner", "same", "--rate", "5/s")
    records = len(shared.dump())
    done = shared.cli("set", token[:24], "--owner", "same", "--rate", "5/s")
    assert "already set" in done.err and len(shared.dump()) == records


def test_plan_list_counts_who_has_it(shared):
    shared.cli("plan", "set", "counted", "--rate", "5/s", "--quota", "8/month")
    tokens = [shared.create(f"c{i}", "--plan", "counted") for i in range(3)]
    shared.revoke(tokens[0])
    rows = {r[0]: r for r in (x.split("\t")
                              for x in lines(shared.cli("plan", "list").out))}
    assert rows["counted"][1:] == ["2", "5/s burst 5, 8/month"]
    found = {p["plan"]: p for p in map(
        json.loads, lines(shared.cli("plan", "list", "--json").out))}
    assert found["counted"] == {"plan": "counted", "tokens": 2, "rate": "5/s",
                                "burst": 5, "quota": "8/month"}


def test_plan_rm_only_when_nobody_has_it_any_more(shared):
    shared.cli("plan", "set", "brief", "--rate", "5/s")
    token = shared.create("b", "--plan", "brief")
    done = refused(shared, 1, "plan", "rm", "brief", said="brief")
    assert re.search(r"\b1 token\b", done.err), done.err
    shared.cli("set", token[:24], "--plan", "none")
    shared.cli("plan", "rm", "brief")
    assert "brief" not in shared.cli("plan", "list").out
    refused(shared, 1, "create", "x", "--plan", "brief")
    refused(shared, 1, "plan", "rm", "brief")
    assert shared.verify(token).limit == -1
    shared.cli("plan", "set", "brief", "--rate", "6/s")  # and again
    assert shared.verify(shared.create("x", "--plan", "brief")).limit == 6


@pytest.mark.parametrize("args", [
    ["plan"], ["plan", "set"], ["plan", "set", "x"], ["plan", "rm"],
    ["plan", "frob"], ["plan", "set", "A", "--rate", "5/s"],
    ["plan", "set", "a" * 33, "--rate", "5/s"],
    ["plan", "set", "x", "--rate", "none"],
    ["plan", "set", "x", "--burst", "5"],
    ["plan", "set", "x", "--quota", "0/day"],
    ["plan", "set", "x", "--owner", "y"], ["plan", "rm", "a b"],
    ["plan", "set", "x", "--rate", "5/s", "--reason", "\x1b"]])
def test_plan_verbs_refuse_what_makes_no_sense(shared, args):
    refused(shared, 2, *args)


def test_plan_rm_of_what_there_is_not(shared):
    refused(shared, 1, "plan", "rm", "nosuch")


# ---- suspend and resume ----

def test_suspended_until_resumed(shared):
    token = shared.create("s", "--rate", "5/s")
    done = shared.cli("suspend", token[:24], "--reason", "invoice overdue")
    assert field(done, "status") == "Suspended"
    v = shared.verify(token)
    assert (v.word, v.status) == ("SUSPENDED", 401)
    assert show(shared, token)["status"] == "Suspended"
    assert field(shared.cli("resume", token[:24]), "status") == "Active"
    assert shared.word(token) == "VALID"


def test_suspending_twice_is_no_error_and_records_nothing(shared):
    token = shared.create("s")
    shared.cli("suspend", token[:24])
    records = len(shared.dump())
    done = shared.cli("suspend", token[:24])
    assert "already suspended" in done.err and len(shared.dump()) == records
    shared.cli("resume", token[:24])
    done = shared.cli("resume", token[:24])
    assert "already resumed" in done.err and len(shared.dump()) == records + 1


def test_the_order_of_refusals_around_suspended(shared):
    """WRONG_ENVIRONMENT, REVOKED, SUSPENDED, EXPIRED, INSUFFICIENT_SCOPE."""
    token = shared.create("o", "--expires", "2s", "--env", "prod", "--scope",
                          "a")
    ask = ("ENV", "prod", "SCOPE", "b")
    assert shared.word(token, *ask) == "INSUFFICIENT_SCOPE"
    shared.cli("suspend", token[:24])
    assert shared.word(token, *ask) == "SUSPENDED"
    assert shared.word(token, "ENV", "live") == "WRONG_ENVIRONMENT"
    rig.until(lambda: show(shared, token)["status"] != "Active", 5, "status")
    time.sleep(2.1)
    assert shared.word(token, *ask) == "SUSPENDED"  # though expired as well
    shared.cli("resume", token[:24])
    assert shared.word(token, *ask) == "EXPIRED"
    shared.revoke(token)
    assert shared.word(token, *ask) == "REVOKED"
    assert shared.word(token, "ENV", "live") == "WRONG_ENVIRONMENT"


def test_a_suspended_token_may_be_renamed_renewed_and_stays_suspended(shared):
    token = shared.create("s")
    shared.cli("suspend", token[:24])
    for args in (["rename", token[:24], "t"],
                 ["renew", token[:24], "--expires", "1y"],
                 ["set", token[:24], "--rate", "5/s"]):
        shared.cli(*args)
        assert shared.word(token) == "SUSPENDED"
    other = shared.cli("rotate", token[:24]).out.strip()
    assert shared.word(token) == shared.word(other) == "SUSPENDED"
    shared.cli("resume", token[:24])
    assert shared.word(token) == shared.word(other) == "VALID"


# ---- rotate ----

def rotated(site, token, *options):
    done = site.cli("rotate", token[:24], *options)
    value = done.out.rstrip("\n")
    assert len(done.out) == 65 and value[:24] == token[:24] != value
    assert value[24:] not in done.err and value[58:] == rig.checksum(value[:58])
    return value


def test_both_values_work_until_the_overlap_ends(shared):
    old = shared.create("r", "--owner", "o", "--quota", "90/day", "--scope",
                        "a")
    shared.word(old)
    new = rotated(shared, old, "--overlap", "3s")
    v = shared.verify(new, "SCOPE", "a")
    assert (v.word, v.owner, v.notes, v.remaining) == ("VALID", "o", "", 88)
    v = shared.verify(old, "SCOPE", "a")
    assert (v.word, v.owner, v.notes, v.remaining) == \
        ("VALID", "o", "OLD_VALUE", 87)  # they spend of one quota
    assert v.expires_in_s <= 3
    assert shared.verify(old, "SCOPE", "b").word == "INSUFFICIENT_SCOPE"
    v = rig.until(lambda: (v := shared.verify(old, "COST", 0)).word !=
                  "VALID" and v, 6,
                  "the overlap ends")
    assert (v.word, v.notes) == ("REVOKED", "OLD_VALUE")
    assert shared.word(new) == "VALID"
    assert show(shared, old)["status"] == "Active"


def test_the_default_overlap_is_a_day_and_0_is_at_once(shared):
    old = shared.create("r")
    done = shared.cli("rotate", old[:24], "--json")
    answer = one_json(done)
    assert answer["token"][:24] == old[:24] == answer["id"]
    assert answer["in_force"] is True
    assert is_about(answer["old_value_until"], now() + timedelta(days=1))
    assert abs(shared.verify(old).expires_in_s - DAY_S) < 60
    second = rotated(shared, old, "--overlap", "0", "--force")
    assert shared.word(old) in ("REVOKED", "UNKNOWN")
    assert shared.word(answer["token"]) == "REVOKED"
    assert shared.word(second) == "VALID"


def test_a_second_rotation_in_an_overlap_needs_force(shared):
    first = shared.create("r")
    second = rotated(shared, first)
    done = refused(shared, 1, "rotate", first[:24], said="--force")
    assert "--finish" in done.err and "--status" in done.err
    assert shared.word(first) == shared.word(second) == "VALID"
    third = rotated(shared, first, "--force")
    assert shared.word(first) in ("UNKNOWN", "REVOKED")
    assert shared.verify(second).notes == "OLD_VALUE"
    assert shared.word(second) == shared.word(third) == "VALID"


def test_finish_ends_the_overlap_now(shared):
    old = shared.create("r")
    new = rotated(shared, old)
    assert shared.word(old) == "VALID"
    shared.cli("rotate", old[:24], "--finish")
    assert shared.word(old) == "REVOKED" and shared.word(new) == "VALID"
    records = len(shared.dump())
    done = shared.cli("rotate", old[:24], "--finish")
    assert "already finished" in done.err and len(shared.dump()) == records
    rotated(shared, new)  # no force: nothing overlaps


def test_finish_of_what_was_never_rotated_records_nothing(shared):
    token = shared.create("r")
    records = len(shared.dump())
    shared.cli("rotate", token[:24], "--finish")
    assert len(shared.dump()) == records and shared.word(token) == "VALID"


def test_status_of_a_rotation(shared):
    old = shared.create("r")

    def status():
        return one_json(shared.cli("rotate", "--status", old[:24], "--json"))
    assert status()["rotation"] == "never"
    rotated(shared, old)
    s = status()
    assert s["rotation"] == "overlaps"
    assert is_about(s["old_value_until"], now() + timedelta(days=1))
    assert "not since" in s["old_value_used"]
    shared.word(old)
    assert is_about(status()["old_value_used"], now())
    shared.cli("rotate", old[:24], "--finish")
    assert status()["rotation"] == "finished"


def test_a_rotated_value_to_a_file(shared):
    old = shared.create("r")
    out = shared.root / "rotated"
    done = shared.cli("rotate", old[:24], "--out", out)
    new = out.read_text().rstrip("\n")
    assert out.stat().st_mode & 0o777 == 0o600
    assert new not in done.out + done.err and shared.word(new) == "VALID"
    out.chmod(0o644)
    refused(shared, 4, "rotate", old[:24], "--force", "--out", out)
    assert out.read_text().rstrip("\n") == new
    refused(shared, 4, "rotate", old[:24], "--force", "--out",
            "/nonexistent/d/o")
    assert shared.verify(new).notes == "" and shared.word(old) == "VALID"


def test_rotate_of_dead_tokens_is_refused(shared):
    gone = shared.create("r", "--expires", "1s")
    revoked = shared.create("r")
    shared.revoke(revoked)
    refused(shared, 1, "rotate", revoked[:24], said="create")
    rig.until(lambda: shared.word(gone) == "EXPIRED", 5, "expiry")
    refused(shared, 1, "rotate", gone[:24], said="renew")


@pytest.mark.parametrize("args", [
    ["rotate"], ["rotate", "{id}", "--overlap", "x"],
    ["rotate", "{id}", "--overlap", "5y"], ["rotate", "{id}", "--overlap", ""],
    ["rotate", "{id}", "--overlap", "-1d"], ["rotate", "{id}", "{id}"],
    ["rotate", "{id}", "--status", "{id}"], ["rotate", "--status", "x"],
    ["rotate", "--finish"], ["rotate", "{id}", "--yes"],
    ["rotate", "{id}", "--finish", "--overlap", "1h"],
    ["rotate", "{id}", "--finish", "--force"],
    ["rotate", "--status", "{id}", "--finish"],
    ["rotate", "{id}", "--finish", "--out", "{root}/never"]])
def test_rotate_refuses_what_makes_no_sense(shared, spent, args):
    args = [a.replace("{id}", spent.own[:24]).replace("{root}",
                                                      str(shared.root))
            for a in args]
    refused(shared, 2, *args)
    assert not (shared.root / "never").exists()


def test_revoking_ends_both_values(shared):
    old = shared.create("r")
    new = rotated(shared, old)
    shared.revoke(old)
    assert shared.word(old) == shared.word(new) == "REVOKED"


def test_an_overlap_ends_with_the_token(shared):
    old = shared.create("r", "--expires", "3s")
    done = shared.cli("rotate", old[:24])
    new = done.out.strip()
    until = at(re.search(r"\d{4}-\S+Z", done.err)[0])
    assert until <= now() + timedelta(seconds=5), "it said: " + done.err
    assert shared.verify(old).expires_in_s <= 3
    rig.until(lambda: shared.word(new) == "EXPIRED", 6, "expiry")
    assert shared.word(old) in ("EXPIRED", "REVOKED")
    shared.cli("renew", old[:24], "--expires", "1h")
    assert shared.word(new) == "VALID"


# ---- rotate: a value that nobody takes ----

def lost_to(kind, site, *args):
    """Rotate into a stdout that does not take the value."""
    if kind == "full":
        with open("/dev/full", "wb") as out:
            return site.cli("rotate", *args, rc=None, stdout=out)
    if kind == "pipe":
        read_end, write_end = os.pipe()
        os.close(read_end)
        with os.fdopen(write_end, "wb") as out:
            return site.cli("rotate", *args, rc=None, stdout=out)
    most = 1 << 26  # a file may not grow beyond: the value fits, no newline
    with open(site.root / "cut", "wb") as out:
        os.lseek(out.fileno(), most - 64, os.SEEK_SET)
        return site.cli("rotate", *args, rc=None, stdout=out,
                        preexec_fn=lambda: resource.setrlimit(
                            resource.RLIMIT_FSIZE, (most, most)))


@pytest.mark.unwatched("a value is taken back")
@pytest.mark.parametrize("serving", [True, False])
@pytest.mark.parametrize("json_too", [[], ["--json"]])
@pytest.mark.parametrize("kind", ["full", "pipe"])
def test_a_rotation_that_nobody_saw_is_taken_back(site, kind, json_too,
                                                  serving):
    token = site.create("r")
    if serving:
        site.start("--workers", "1")
    done = lost_to(kind, site, token[:24], *json_too)
    assert done.rc == 4 and len(lines(done.err)) == 1, done
    assert "taken back" in done.err and "again" in done.err
    if not serving:
        site.start("--workers", "1")
    v = site.verify(token)
    assert (v.word, v.notes) == ("VALID", "")
    assert abs(v.expires_in_s - 90 * DAY_S) < 60
    new = rotated(site, token, "--overlap", "0")  # no overlap stands in the way
    assert site.word(new) == "VALID" and site.word(token) == "REVOKED"


def test_what_was_taken_back_never_verifies(served):
    """All of the value reached the disk, only its newline did not: who finds
    it there must not be let in, whatever overlapped before."""
    first = served.create("r")
    for options in ([], ["--force"]):
        before = served.verify(first, "COST", 0)
        done = lost_to("file", served, first[:24], *options)
        assert done.rc == 4 and "taken back" in done.err, done
        lost = (served.root / "cut").read_bytes()[-64:].decode()
        assert lost[:24] == first[:24] and lost[58:] == rig.checksum(lost[:58])
        assert served.word(lost) in ("REVOKED", "UNKNOWN")
        now_is = served.verify(first, "COST", 0)
        assert (now_is.word, now_is.notes) == (before.word, before.notes)
        second = rotated(served, first)  # and now one within an overlap
        served.cli("rotate", first[:24], "--finish")
        first = rotated(served, second)
    assert served.word(second) == served.word(first) == "VALID"
    done = lost_to("file", served, first[:24], "--force")
    lost = (served.root / "cut").read_bytes()[-64:].decode()
    assert done.rc == 4
    assert served.word(first) == "VALID"
    assert served.word(lost) in ("REVOKED", "UNKNOWN")
    [daemon] = served.daemons
    daemon.stop()
    served.start("--workers", "1")
    assert served.word(first) == "VALID"
    assert served.word(lost) in ("REVOKED", "UNKNOWN")


def test_a_rotation_with_stdout_closed_changes_nothing(served):
    token = served.create("r")
    before = served.dump()
    p = subprocess.run(["sh", "-c", '"$0" rotate "$1" >&-', rig.JETON,
                        token[:24]], env=served.env, capture_output=True,
                       text=True)
    assert p.returncode == 4 and len(lines(p.stderr)) == 1
    assert served.dump() == before and served.word(token) == "VALID"


# ---- revoke ----

def test_revoke_of_several_ids_is_one_commit_with_its_reason(shared):
    tokens = [shared.create(f"v{i}") for i in range(3)]
    shared.cli("revoke", *[t[:24] for t in tokens], "--yes", "--reason",
               "laptop lost")
    assert [shared.word(t) for t in tokens] == ["REVOKED"] * 3
    last = shared.dump()[-4:]
    assert [r["type"] for r in last] == ["revoke"] * 3 + ["reason"]
    assert len({r["op"] for r in last}) == 1
    assert last[-1]["reason"] == "laptop lost"


def test_revoke_warns_of_those_that_are_in_use(shared):
    used, idle = shared.create("used"), shared.create("idle")
    assert shared.word(used) == "VALID"
    done = shared.cli("revoke", used[:24], idle[:24], "--yes")
    [warning] = [x for x in lines(done.err) if "in use" in x]
    assert used[:24] in warning and "last use: " in warning
    assert idle[:24] not in done.err


def test_one_unknown_id_among_several_changes_nothing(shared):
    token = shared.create("v")
    unknown = token[:23] + ("a" if token[23] != "a" else "b")
    for verb in ("revoke", "suspend", "resume"):
        refused(shared, 1, verb, token[:24], unknown, "--yes")
    refused(shared, 1, "renew", token[:24], unknown, "--yes", "--expires", "1y")
    assert shared.word(token) == "VALID"


@pytest.mark.parametrize("options,expected", [
    (["--owner", "ch-a"], {"a1", "a2", "a3"}),
    (["--owner", "ch-a", "--env", "cha"], {"a1"}),
    (["--name", "a[12]"], {"a1", "a2"}),
    (["--plan", "chosen"], {"a3", "b1"}),
    (["--owner", "ch-a", "--status", "suspended"], {"a2"}),
    (["--owner", "ch-a", "--status", "Active"], None),
    (["--owner", "ch-b", "--expiring-within", "10d"], {"b1"}),
])
def test_revoke_chooses_what_fits_all_options(site, options, expected):
    site.start("--workers", "1")
    site.cli("plan", "set", "chosen", "--rate", "5/s")
    made = {
        "a1": site.create("a1", "--owner", "ch-a", "--env", "cha"),
        "a2": site.create("a2", "--owner", "ch-a"),
        "a3": site.create("a3", "--owner", "ch-a", "--plan", "chosen"),
        "b1": site.create("b1", "--owner", "ch-b", "--plan", "chosen",
                          "--expires", "5d"),
        "b2": site.create("b2", "--owner", "ch-b")}
    site.cli("suspend", made["a2"][:24])
    if expected is None:
        refused(site, 2, "revoke", *options, "--yes", said="active")
        return
    site.cli("revoke", *options, "--yes")
    assert {n for n, t in made.items() if site.word(t) == "REVOKED"} == expected


def test_what_nothing_fits_is_a_negative_answer(shared):
    for options in (["--owner", "nobody"], ["--name", "nothing*"],
                    ["--env", "zz"], ["--plan", "nosuch"],
                    ["--status", "expired", "--owner", "x"]):
        refused(shared, 1, "revoke", *options, "--yes")


@pytest.mark.parametrize("args", [
    ["revoke"], ["revoke", "{id}", "--owner", "x"],
    ["revoke", "{id}", "{id}", "--yes"], ["revoke", "--status", "dead"],
    ["revoke", "--expiring-within", "soon"], ["revoke", "--leaked", ""],
    ["revoke", "{id}", "--leaked", "/dev/null"],
    ["revoke", "{id}", "--reason", "a\x1b"],
    ["revoke", "{id}", "--reason", "r" * 185], ["suspend"], ["resume"],
    ["revoke", "--yes"], ["suspend", "{id}", "--overlap", "1d"],
    ["renew", "{id}", "--owner", "o", "--expires", "1y"], ["purge"],
    ["purge", "--yes"], ["purge", "--dead-for", "x"],
    ["purge", "--dead-for", "0x"]])
def test_choices_that_make_no_sense(shared, spent, args):
    args = [a.replace("{id}", spent.own[:24]).replace("\\x1b", "\x1b")
            for a in args]
    refused(shared, 2, *args)


@pytest.mark.parametrize("length,rc", [(184, 0), (185, 2)])
def test_a_reason_has_at_most_184_bytes(shared, length, rc):
    token = shared.create("v")
    reason = "é" * (length // 2) + "x" * (length % 2)
    shared.cli("revoke", token[:24], "--reason", reason, rc=rc)
    assert (shared.dump()[-1]["type"] == "reason") == (rc == 0)
    if rc == 0:
        assert shared.dump()[-1]["reason"] == reason


# ---- several: asked about, or not done ----

@pytest.mark.parametrize("verb", [["revoke"], ["suspend"], ["resume"],
                                  ["renew", "--expires", "1y"]])
def test_several_without_a_terminal_need_yes(shared, verb):
    tokens = [shared.create(f"y{i}") for i in range(2)]
    ids = [t[:24] for t in tokens]
    done = refused(shared, 2, verb[0], *ids, *verb[1:], said="--yes")
    assert "2 tokens" in done.err
    refused(shared, 2, verb[0], *ids, *verb[1:], input="y\n", said="--yes")
    shared.cli(verb[0], *ids, *verb[1:], "--yes")


@pytest.mark.parametrize("answer,done", [("y\n", True), ("Y\n", True),
                                         ("yes\n", True), ("n\n", False),
                                         ("\n", False), ("\x04", False),
                                         ("no, y\n", False)])
def test_several_on_a_terminal_are_asked_about(shared, answer, done):
    tokens = [shared.create(f"y{i}", "--owner", f"ask {answer!r}")
              for i in range(2)]
    shown = terminal(shared, "revoke", *[t[:24] for t in tokens],
                     answer=answer, rc=0 if done else 1)
    assert shown.startswith("2 tokens are to be revoked? [y/N] ")
    assert ("nothing was changed" in shown) != done
    assert [shared.word(t) for t in tokens] == \
        ["REVOKED" if done else "VALID"] * 2


def test_one_is_not_asked_about(shared):
    token = shared.create("y", "--owner", "just one")
    shared.cli("revoke", token[:24])
    assert shared.word(token) == "REVOKED"


def test_who_is_chosen_meanwhile_is_not_forgotten(shared):
    """The count is asked about, what fits at the commit is done."""
    first = [shared.create(f"m{i}", "--owner", "meanwhile") for i in range(2)]
    main, sub = pty.openpty()
    p = subprocess.Popen([rig.JETON, "revoke", "--owner", "meanwhile"],
                         stdin=sub, stdout=sub, stderr=sub, env=shared.env)
    os.close(sub)
    assert b"2 tokens" in os.read(main, 4096)
    late = shared.create("late", "--owner", "meanwhile")
    os.write(main, b"y\n")
    rig.until(lambda: p.poll() is not None, 20, "revoked")
    os.close(main)
    assert p.returncode == 0
    assert [shared.word(t) for t in (*first, late)] == ["REVOKED"] * 3


# ---- leaks ----

def test_leaked_values_are_found_in_any_text(site):
    site.start("--workers", "2")
    whole = [site.create(f"w{i}") for i in range(3)]
    cut, safe, same = (site.create(x) for x in ("cut", "safe", "same id"))
    foreign = "jt_live_" + "A" * 50
    foreign += rig.checksum(foreign)
    log = site.root / "build.log"
    log.write_bytes(
        b"\x00\xff binary\n" + b"x" * 65500 + whole[0].encode() +
        b" token=" + whole[1].encode() + b";\r\n" +
        f'{{"Authorization":"Bearer {whole[2]}"}} {whole[2]}\n'.encode() +
        f"{cut[:50]}... {safe[:24]}****\n".encode() +
        rig.other_secret(same).encode() + b"\n" +
        rig.mistyped(safe, 40).encode() + b" " + foreign.encode())
    before = len(site.dump())
    done = site.cli("revoke", "--leaked", log, "--reason", "in a build log")
    assert [site.word(t) for t in whole] == ["REVOKED"] * 3
    assert [site.word(t) for t in (cut, safe, same)] == ["VALID"] * 3
    assert same[:24] in done.err  # told: an id of ours
    assert safe[:24] not in done.err and foreign[:24] not in done.err
    for t in (*whole, cut, safe, same):
        assert t[24:] not in done.out + done.err
    assert [r["type"] for r in site.dump()[before:]] == \
        ["revoke"] * 3 + ["reason"]
    again = site.cli("revoke", "--leaked", log)
    assert "already" in again.err and len(site.dump()) == before + 4


@pytest.mark.parametrize("serving", [True, False])
def test_a_leaked_old_value_is_not_left_working(site, serving):
    """In its overlap a value that was replaced still lets people in."""
    daemon = site.start("--workers", "1")
    old = site.create("rotated")
    new = site.cli("rotate", old[:24]).out.strip()
    assert site.word(old) == "VALID"
    if not serving:
        daemon.stop()
    (site.root / "log").write_text(f"got {old} here\n")
    done = site.cli("revoke", "--leaked", site.root / "log", rc=None)
    assert done.rc == (0 if serving else 3), done
    if not serving:
        site.start("--workers", "1")
    assert site.word(old) == "REVOKED"
    assert old[:24] in done.out + done.err
    assert site.word(new) in ("VALID", "REVOKED")


@pytest.mark.parametrize("serving", [True, False])
def test_a_leak_of_both_values_ends_the_token(site, serving):
    old = site.create("rotated")
    new = site.cli("rotate", old[:24]).out.strip()
    site.cli("rename", old[:24], "and renamed")
    site.cli("journal", "compact")
    if serving:
        site.start("--workers", "1")
    site.cli("revoke", "--leaked", "-", input=f"{old} {new} {old}",
             rc=0 if serving else 3)
    if not serving:
        site.start("--workers", "1")
    assert site.word(old) == site.word(new) == "REVOKED"


def test_a_leaked_value_whose_time_is_over_is_told(served):
    old = served.create("rotated")
    new = served.cli("rotate", old[:24], "--overlap", "0").out.strip()
    done = served.cli("revoke", "--leaked", "-", input=f"x{old}x", rc=1)
    assert old[:24] in done.err and old[24:] not in done.err
    assert served.word(new) == "VALID"


def test_leaks_from_stdin_and_what_holds_none(shared):
    token = shared.create("in")
    shared.cli("revoke", "--leaked", "-", input=f"a{token}b")
    assert shared.word(token) == "REVOKED"
    other = shared.create("out")
    for text in ("", "nothing here", other[:63], other[1:],
                 other[:24] + "*" * 40):
        before = shared.journal.read_bytes()
        done = shared.cli("revoke", "--leaked", "-", input=text, rc=1)
        assert lines(done.err) and done.out == ""
        assert shared.journal.read_bytes() == before
    refused(shared, 4, "revoke", "--leaked", "/nonexistent/x")
    refused(shared, 4, "revoke", "--leaked", shared.root)
    assert shared.word(other) == "VALID"


def test_a_value_across_any_border_of_pieces_is_found(site):
    """Pieces of any size must not hide one; 65,536 is one that is likely."""
    tokens = site.bulk(70)
    text = b""
    for i, t in enumerate(tokens):
        text = text.ljust((i + 1) * 65536 - i - 1, b".") + t.encode()
    (site.root / "log").write_bytes(text)
    site.cli("revoke", "--leaked", site.root / "log", "--offline")
    assert {x["status"] for x in site.list()} == {"Revoked"}


# ---- purge ----

def test_purge_forgets_the_dead_and_only_those_dead_long_enough(site):
    site.start("--workers", "2", "--capacity", "64")
    tokens = site.bulk(60)
    gone = site.create("gone", "--expires", "1s")
    for t in tokens[:40]:
        site.revoke(t)
    assert site.word(gone) in ("VALID", "EXPIRED")
    refused(site, 1, "purge", "--dead-for", "1d", "--yes")
    rig.until(lambda: site.word(gone) == "EXPIRED", 5, "expiry")
    time.sleep(1.1)
    done = site.cli("purge", "--dead-for", "1s", "--yes", "--reason", "tidy")
    assert "41 tokens purged" in done.err
    assert {site.word(t) for t in (*tokens[:40], gone)} == {"UNKNOWN"}
    assert {site.word(t) for t in tokens[40:]} == {"VALID"}
    assert [x["id"] for x in site.list()] == [t[:24] for t in tokens[40:]]
    assert site.status()["tokens"] == 20
    for verb in ("show", "revoke", "suspend"):
        refused(site, 1, verb, tokens[0][:24])
    # what they held is free: many more rounds than the table has places
    for turn in range(4):
        time.sleep(2.2)
        more = site.bulk(40, name=f"more{turn}")
        assert {site.word(t) for t in more} == {"VALID"}
        site.cli("revoke", "--name", "more*", "--yes")
        time.sleep(1.1)
        site.cli("purge", "--name", "more*", "--dead-for", "1s", "--yes")
        assert {site.word(t) for t in more} == {"UNKNOWN"}
    assert {site.word(t) for t in tokens[40:]} == {"VALID"}
    before = answers(site, tokens)
    site.daemons[0].stop()
    site.start("--workers", "1")
    assert answers(site, tokens) == before


def test_a_purged_place_brings_no_use_nor_debt_along(site):
    site.start("--workers", "1", "--capacity", "64")
    tokens = site.bulk(64, "--quota", "2/day")
    with site.client() as c:
        for t in tokens:
            assert [c.verify(t).word for _ in range(3)] == \
                ["VALID", "VALID", "QUOTA_EXCEEDED"]
    site.cli("revoke", "--name", "bulk*", "--yes")
    time.sleep(1.1)
    site.cli("purge", "--dead-for", "1s", "--yes")
    time.sleep(2.2)
    for t in site.bulk(64, "--quota", "2/day", name="next"):
        assert [site.word(t) for _ in range(3)] == \
            ["VALID", "VALID", "QUOTA_EXCEEDED"]
        assert (show(site, t)["uses"], show(site, t)["refusals"]) == (2, 1)


# ---- rules of a deployment, environment of a daemon ----

def test_no_token_lives_longer_than_max_lifetime(site):
    site.cli("init", "--max-lifetime", "30d")
    site.start("--workers", "1")
    for when in ("31d", "90d", "6m", "1y"):
        refused(site, 2, "create", "x", "--expires", when, said="30d")
    for options in ([], ["--expires", "never"], ["--expires", "30d"]):
        token = site.create("x", *options)
        assert abs(site.verify(token).expires_in_s - 30 * DAY_S) < 60
    token = site.create("x", "--expires", "5d")
    refused(site, 2, "renew", token[:24], "--expires", "31d", said="30d")
    site.cli("renew", token[:24], "--expires", "30d")
    (site.root / "t.csv").write_text("name,expires\na,5d\nb,60d\n")
    done = site.cli("create", "--from", site.root / "t.csv", "--out",
                    site.root / "o", rc=2)
    assert "t.csv:3:" in done.err and not (site.root / "o").exists()
    site.cli("journal", "check")


@pytest.mark.parametrize("span", ["", "x", "0d", "5y", "-1d", "2027-01-01"])
def test_init_refuses_a_max_lifetime_that_is_none(site, span):
    refused(site, 2, "init", "--max-lifetime", span)
    assert not site.journal.exists()


def test_a_daemon_of_one_environment(site):
    daemon = site.start("--workers", "2", "--env", "prod")
    prod, test = site.create("p", "--env", "prod"), site.create("t", "--env",
                                                                "test")
    v = site.verify(test)
    assert (v.word, v.status) == ("WRONG_ENVIRONMENT", 401)
    assert site.word(test, "ENV", "test") == "WRONG_ENVIRONMENT"
    assert site.word(prod) == site.word(prod, "ENV", "prod") == "VALID"
    assert site.word(prod, "ENV", "test") == "WRONG_ENVIRONMENT"
    site.revoke(test)
    assert site.word(test) == "WRONG_ENVIRONMENT"  # decided before REVOKED
    daemon.stop()
    site.start("--workers", "1", env={**site.env, "JETON_ENV": "test"})
    assert site.word(prod) == "WRONG_ENVIRONMENT"
    assert site.word(test) == "REVOKED"


@pytest.mark.parametrize("env", ["", "Prod", "toolong", "a b"])
def test_a_daemon_refuses_an_environment_that_is_none(site, env):
    p = subprocess.run([rig.JETOND, "--env", env], env=site.env, timeout=20,
                       capture_output=True, text=True)
    assert p.returncode == 64 and len(lines(p.stderr)) == 1


def test_the_environment_asked_for_must_be_the_tokens(shared):
    token = shared.create("e", "--env", "stage")
    assert shared.word(token, "ENV", "stage") == "VALID"
    for env in ("live", "stag", "stages", "nosuch"):
        v = shared.verify(token, "ENV", env)
        assert (v.word, v.status) == ("WRONG_ENVIRONMENT", 401)


# ---- without a sidecar ----

CHANGES = [
    (["renew", "{id}", "--expires", "2y"], "VALID"),
    (["rename", "{id}", "another"], "VALID"),
    (["set", "{id}", "--owner", "web", "--rate", "5/s"], "VALID"),
    (["set", "{id}", "--plan", "gold"], "VALID"),
    (["set", "{id}", "--scope", "a:*"], "VALID"),
    (["suspend", "{id}"], "SUSPENDED"),
    (["rotate", "{id}", "--overlap", "0"], "REVOKED"),
    (["rotate", "{id}"], "VALID"),
    (["plan", "set", "gold", "--rate", "9/s"], "VALID"),
    (["revoke", "{id}", "--offline"], "REVOKED"),
]


@pytest.mark.parametrize("args,word", CHANGES)
def test_without_a_sidecar_it_is_recorded_for_its_start(site, args, word):
    site.cli("init")
    site.cli("plan", "set", "gold", "--rate", "5/s")
    token = site.create("x")
    done = site.cli(*[a.replace("{id}", token[:24]) for a in args])
    assert "recorded" in done.err and "sidecar starts" in done.err
    site.start("--workers", "1")
    assert site.word(token) == word
    site.cli("journal", "check")


def test_several_revoked_without_a_sidecar_are_exit_3(site):
    tokens = site.bulk(3)
    done = site.cli("revoke", *[t[:24] for t in tokens], "--yes", rc=3)
    assert "--offline" in done.err
    site.start("--workers", "1")
    assert {site.word(t) for t in tokens} == {"REVOKED"}


def test_refusals_are_the_same_without_a_sidecar(site):
    site.cli("init")
    site.cli("plan", "set", "gold", "--rate", "5/s")
    token, dead = site.create("x", "--plan", "gold"), site.create("dead")
    site.cli("revoke", dead[:24], "--offline")
    old = site.create("old")
    site.cli("rotate", old[:24])
    unknown = token[:23] + ("a" if token[23] != "a" else "b")

    def all_refused():
        for args in (["renew", token[:24], "--expires", "1d"],
                     ["renew", dead[:24], "--expires", "1y"],
                     ["rename", dead[:24], "y"], ["suspend", dead[:24]],
                     ["resume", dead[:24]], ["set", dead[:24], "--owner", "o"],
                     ["rotate", dead[:24]], ["rotate", old[:24]],
                     ["set", token[:24], "--plan", "nosuch"],
                     ["plan", "rm", "gold"], ["plan", "rm", "nosuch"],
                     ["rename", unknown, "y"], ["suspend", unknown],
                     ["rotate", unknown], ["rotate", "--status", unknown],
                     ["rotate", unknown, "--finish"]):
            yield args, golden(refused(site, 1, *args).err)

    without = [*all_refused()]
    site.start("--workers", "1")
    assert [*all_refused()] == without


# ---- what people see ----

def test_a_terminal_of_80_columns_shows_this(site):
    site.start("--workers", "1")
    site.cli("plan", "set", "gold", "--rate", "100/s", "--burst", "200",
             "--quota", "5000000/month")
    token = site.create("Production API", "--owner", "web", "--plan", "gold",
                        "--scope", "orders:read")
    i = token[:24]
    assert golden(terminal(site, "plan", "list")) == """\
PLAN                                TOKENS  LIMITS
gold                                     1  100/s burst 200, 5000000/month
"""
    assert golden(terminal(site, "renew", i, "--expires", "1y")) == """\
Id:                 <id>
Name:               Production API
Status:             Active
Expires:            <time>
Receipt:            <receipt>
In force:           yes
"""
    assert golden(terminal(site, "rename", i, "Größe")) == """\
Id:                 <id>
Name:               Größe
Status:             Active
Receipt:            <receipt>
In force:           yes
"""
    assert golden(terminal(site, "suspend", i)) == """\
Id:                 <id>
Name:               Größe
Status:             Suspended
Receipt:            <receipt>
In force:           yes
"""
    terminal(site, "resume", i)
    shown = terminal(site, "rotate", i)
    value, *rest = shown.split("\n")
    assert value[:24] == i and len(value) == 64
    assert golden("\n".join(rest)) == """\
jeton: the old value of <id> works until <time>, too
jeton: receipt <receipt>
"""
    assert golden(terminal(site, "rotate", "--status", i)) == """\
Id:                 <id>
Rotation:           overlaps
Old value until:    <time> (in <n> hours)
Old value used:     not since the rotation, as far as was counted
"""
    assert golden(terminal(site, "list")) == """\
NAME   VALUE                         EXPIRES     STATUS
Größe  <id>****  <day>  Active
"""
    assert golden(terminal(site, "plan", "rm", "gold", rc=1)) == """\
jeton: 1 token has plan gold, nothing was changed; see `jeton list --plan gold`, give it another with `jeton set ID --plan OTHER`
"""
    assert golden(terminal(site, "revoke", i, "--reason", "x")) == """\
Id:                 <id>
Name:               Größe
Status:             Revoked
Receipt:            <receipt>
In force:           yes
"""


def test_pipes_get_tabs_and_json_parses_for_every_verb(shared):
    shared.cli("plan", "set", "piped", "--rate", "5/s")
    token = shared.create("a\\b", "--plan", "piped")
    i = token[:24]
    for args in (["renew", i, "--expires", "1y"], ["rename", i, "c\\d"],
                 ["set", i, "--owner", "x"], ["suspend", i], ["resume", i],
                 ["rotate", i, "--finish"], ["rotate", "--status", i],
                 ["plan", "set", "piped", "--rate", "6/s"], ["show", i]):
        done = shared.cli(*args)
        rows = [x.split("\t") for x in lines(done.out)]
        assert rows and all(len(r) == 2 for r in rows), args
        answer = one_json(shared.cli(*args, "--json"))
        assert set(dict(rows)) <= {*answer, "burst", "in_force"}, args
        if "name" in answer:
            assert dict(rows)["name"] == answer["name"].replace("\\", "\\x5c")
    done = shared.cli("rotate", i, "--json")
    assert one_json(done)["token"][:24] == i
    answer = one_json(shared.cli("revoke", i, "--json"))
    assert answer["status"] == "Revoked" and answer["in_force"] is True


def test_every_reason_stands_in_the_history(shared):
    shared.cli("plan", "set", "why", "--rate", "5/s", "--reason", "r plan")
    token = shared.create("w")
    i, out = token[:24], []
    for n, args in enumerate((["renew", i, "--expires", "1y"],
                              ["rename", i, "v"], ["set", i, "--owner", "x"],
                              ["suspend", i], ["resume", i], ["rotate", i],
                              ["rotate", i, "--finish"], ["revoke", i])):
        shared.cli(*args, "--reason", f"reason {n}")
        out.append(shared.dump()[-1])
    assert [r["reason"] for r in out] == [f"reason {n}" for n in range(8)]


@pytest.mark.parametrize("args", [
    ["renew", "{id}", "--expires", "3y"], ["rename", "{id}", "lost"],
    ["suspend", "{id}"], ["plan", "list"], ["rotate", "--status", "{id}"],
    ["plan", "set", "lost", "--rate", "5/s"]])
def test_an_answer_that_is_lost_is_exit_4(shared, args):
    token = shared.create("x")
    with open("/dev/full", "wb") as full:
        done = shared.cli(*[a.replace("{id}", token[:24]) for a in args], rc=4,
                          stdout=full)
    assert len(lines(done.err)) == 1


# ---- and then a restart ----

def test_after_all_of_it_a_restart_gives_the_same_answers(site):
    site.start("--workers", "2")
    site.cli("plan", "set", "gold", "--rate", "100/s", "--burst", "7")
    site.cli("plan", "set", "old", "--quota", "5/day")
    values = site.bulk(40, columns="name,env,owner,scopes,quota",
                       row="{name} {i},e{i},o {i},s:{i} a:*,{i}9/day")
    by = [t[:24] for t in values]
    site.cli("renew", *by[0:3], "--expires", "1y", "--yes")
    site.cli("rename", by[3], "renamed")
    site.cli("set", *by[4:8], "--plan", "gold", "--quota", "none", "--yes")
    site.cli("set", *by[8:10], "--plan", "old", "--rate", "5/s", "--yes")
    site.cli("set", by[10], "--scope", "none", "--owner", "none")
    site.cli("suspend", *by[11:14], "--yes")
    site.cli("resume", by[12])
    for n in range(14, 20):
        values.append(site.cli("rotate", by[n]).out.strip())
    site.cli("rotate", by[14], "--finish")
    values.append(site.cli("rotate", by[15], "--force").out.strip())
    site.cli("suspend", by[16])
    site.cli("revoke", by[17])
    values.append(site.cli("rotate", by[18], "--force", "--overlap",
                           "0").out.strip())
    site.cli("renew", by[19], "--expires", "1d", "--shorten")
    site.cli("revoke", *by[20:25], "--yes")
    time.sleep(1.1)
    site.cli("purge", "--name", "bulk 2[0-2]", "--dead-for", "1s", "--yes")
    site.cli("plan", "set", "gold", "--rate", "50/s", "--burst", "8",
             "--quota", "1000/month")
    site.cli("set", *by[4:6], "--plan", "none", "--yes")
    site.cli("plan", "set", "brief", "--rate", "1/s")
    site.cli("plan", "rm", "brief")

    def all_said():
        shown = [show(site, t) for t in values[:40] if t[:24] not in by[20:23]]
        for s in shown:
            for moving in ("uses", "refusals", "quota_used"):
                s.pop(moving, None)
        return (answers(site, values), answers(site, values, "SCOPE", "a:1"),
                answers(site, values, "ENV", "e3"), shown, site.list(),
                site.cli("plan", "list").out, site.check())

    before = all_said()
    words = [a[0] for a in before[0]]
    assert {w: words.count(w) for w in set(words)} == {
        "VALID": 33, "SUSPENDED": 4, "REVOKED": 6, "UNKNOWN": 5}
    site.daemons[-1].stop()
    site.start("--workers", "1")
    assert all_said() == before
    site.cli("journal", "compact")
    assert all_said() == before
    site.daemons[-1].kill()
    site.start("--workers", "2")
    assert all_said() == before
