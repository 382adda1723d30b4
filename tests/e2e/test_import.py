"""Tokens of other systems: taken over by digest, then like any other."""
import base64
import csv
import hashlib
import json
import re
import threading

import pytest

import rig
from test_canary import assert_clean

FORMS = {
    "sha256-hex": lambda v: hashlib.sha256(v).hexdigest(),
    "sha256-base64": lambda v: base64.b64encode(
        hashlib.sha256(v).digest()).decode(),
    "sha256-prefixed": lambda v: hashlib.sha256(
        v.rsplit(b"_", 1)[1]).hexdigest(),
}
GITHUB = b"ghp_16C7e42F292c6912E7710c838347Ae178B4a"
BASIC = {
    "github": GITHUB,
    "one byte": b"x",
    "256 bytes": bytes(33 + i % 94 for i in range(256)),
    "blanks": b"a pass phrase  with blanks",
    "utf-8": "clé-日本-\U0001f511".encode(),
    "64 characters": b"q" * 64,
    "native with another prefix": b"zz_live_" + b"Zk3mQ0v9XyTb41Rw" +
                                  b"a1B2" * 10,
    "all bytes but zero": bytes(range(1, 256)),
    "jwt": b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
}


def hexed(value):
    return FORMS["sha256-hex"](value)


def table(site, rows, columns=("digest", "name"), name="in.csv"):
    path = site.root / name
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(columns)
        out.writerows(rows)
    return path


def take(site, rows, *options, scheme="sha256-hex", columns=("digest", "name"),
         rc=0):
    """Import; its results by line, and what was said."""
    done = site.cli("import", "--scheme", scheme, "--json",
                    table(site, rows, columns), *options, rc=rc)
    results = [json.loads(x) for x in done.out.splitlines()]
    return {r["line"]: r for r in results}, done.err


def one(site, value=GITHUB, name="one", *options, **kw):
    """Import one value: its id."""
    got, _ = take(site, [(hexed(value), name)], *options, **kw)
    assert got[2]["result"] == "imported", got
    return got[2]["id"]


def cli_word(site, value):
    done = site.cli("verify", "--json", input=value + b"\n", rc=None)
    return json.loads(done.out)["verdict"]


@pytest.fixture(params=["serving", "started later"])
def sited(site, request):
    """A site whose daemon runs already, or starts after the import."""
    if request.param == "serving":
        site.start("--workers", "1")
        site.ready = lambda: None
    else:
        site.ready = lambda: site.start("--workers", "1")
    yield site


# ---- they verify ----

@pytest.mark.parametrize("scheme", ["sha256-hex", "sha256-base64"])
def test_values_of_any_form_verify_as_they_are(sited, scheme):
    rows = [(FORMS[scheme](v), name, f"owner of {name}")
            for name, v in BASIC.items()]
    got, _ = take(sited, rows, scheme=scheme,
                  columns=("digest", "name", "owner"))
    assert [r["result"] for r in got.values()] == ["imported"] * len(rows)
    sited.ready()
    ids = {t["name"]: t["id"] for t in sited.list()}
    for line, (name, value) in enumerate(BASIC.items(), 2):
        v = sited.verify(value)
        assert (v.word, v.owner) == ("VALID", f"owner of {name}"), name
        assert v.id == ids[name] == got[line]["id"]
        if b"\n" not in value:
            assert cli_word(sited, value) == "VALID", name
        assert sited.word(value[:-1]) != "VALID"
        assert sited.word(value + b"x") != "VALID"
        assert sited.word(value + b"\n") != "VALID"


def jwt(claims_bytes):
    """A signed one, as an identity provider issues it."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    head = part(json.dumps({"alg": "RS256", "typ": "JWT",
                            "kid": "2f1c9a"}).encode())
    claims = {"iss": "https://id.example.org/realms/main", "sub": "u-1029",
              "aud": ["orders", "billing"], "exp": 1893456000, "groups": []}
    while len(json.dumps(claims)) < claims_bytes:
        claims["groups"].append(f"team-{len(claims['groups'])}")
    signature = hashlib.shake_256(head).digest(256)  # the length of RSA-2048
    return b".".join((head, part(json.dumps(claims).encode()),
                      part(signature)))


def test_a_jwt_verifies_is_limited_and_revoked(sited):
    value = jwt(620)
    assert 1200 <= len(value) <= 1260
    other = value[:-1] + (b"A" if value[-1:] != b"A" else b"B")
    id_ = one(sited, value, "sso", "--owner", "web", "--rate", "1/h",
              "--burst", "3")
    sited.ready()
    v = sited.verify(value)
    assert (v.word, v.id, v.owner, v.limit, v.remaining) == \
        ("VALID", id_, "web", 3, 2)
    assert cli_word(sited, value) == "VALID"
    with sited.client() as c:
        got = [rig.verdict(r).word
               for r in c("MVERIFY", 4, value, other, value, value[:1024])]
    assert got == ["VALID", "MALFORMED", "RATE_LIMITED", "MALFORMED"]
    assert sited.word(value) == "RATE_LIMITED"
    sited.revoke(id_)
    assert sited.word(value) == "REVOKED"
    assert sited.word(other) == "MALFORMED"


@pytest.mark.parametrize("scheme", ["sha256-hex", "sha256-prefixed"])
def test_values_up_to_what_the_protocol_takes(served, scheme):
    values = [b"k_" + bytes(97 + i % 26 for i in range(n - 2))
              for n in (257, 1000, 4095, 4096)]
    take(served, [(FORMS[scheme](v), "long") for v in values], scheme=scheme)
    for v in values:
        assert served.word(v) == "VALID"
        assert cli_word(served, v) == "VALID"
        assert served.word(v[:-1] + b"_") == "MALFORMED"
        assert served.word(v[:-1] + b"%") == "MALFORMED"
    assert "4096" in served.cli("help", "import").out


def test_a_longer_one_is_refused_by_the_protocol(served):
    value = b"x" * 4097
    take(served, [(hexed(value), "long")])
    with served.client() as c:
        got = c("VERIFY", value)
        assert isinstance(got, rig.Error)
        assert got.startswith("ERR Protocol error")
        assert c.is_closed()
    done = served.cli("verify", input=value, rc=1)
    assert "4096" in done.err


def test_long_values_keep_nobody_waiting(served):
    """A pipeline of the longest is answered in its turns, all of it, and
    another connection is answered meanwhile."""
    value = b"y" * 4096
    one(served, value)
    with served.client() as greedy, served.client() as other:
        assert other.verify(value).word == "VALID"
        for _ in range(20):
            greedy.raw(rig.encode("VERIFY", value) * 30)
            assert other("PING") == "PONG"
            got = {rig.verdict(greedy.read()).word for _ in range(30)}
            assert got == {"VALID"}


def test_base64_in_every_spelling(served):
    digests, values = [], [b"value %d" % i for i in range(64)]
    for i, v in enumerate(values):
        d = hashlib.sha256(v).digest()
        text = (base64.urlsafe_b64encode if i & 1 else base64.b64encode)(d)
        digests.append(text.rstrip(b"=" if i & 2 else b"").decode())
    take(served, [(d, f"n{i}") for i, d in enumerate(digests)],
         scheme="sha256-base64")
    with served.client() as c:
        assert {c.verify(v).word for v in values} == {"VALID"}


def test_hex_in_capitals(served):
    got, _ = take(served, [(hexed(b"v").upper(), "a")])
    assert got[2]["result"] == "imported"
    assert served.word(b"v") == "VALID"


def test_prefixed_values_are_found_by_what_is_behind_the_last_underscore(
        sited):
    values = [b"mycorp_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG",
              b"a__b", b"x_y_z_0123456789abcdef"]
    take(sited, [(FORMS["sha256-prefixed"](v), f"n{i}")
                 for i, v in enumerate(values)], scheme="sha256-prefixed")
    sited.ready()
    for v in values:
        assert sited.word(v) == "VALID"
        assert cli_word(sited, v) == "VALID"
    assert sited.word(values[0].rsplit(b"_", 1)[1]) == "MALFORMED"
    assert sited.word(values[0] + b"_") == "MALFORMED"
    assert sited.word(values[0] + b"x") == "MALFORMED"


def test_both_schemes_and_native_ones_beside_each_other(served):
    native = served.create("native")
    take(served, [(hexed(b"whole_value"), "whole")])
    take(served, [(FORMS["sha256-prefixed"](b"p_s_long"), "behind")],
         scheme="sha256-prefixed")
    assert served.word(native) == "VALID"
    assert served.word(b"whole_value") == "VALID"
    assert served.word(b"p_s_long") == "VALID"
    assert served.word(b"p_s_value") == "MALFORMED"
    assert served.word(b"value") == "MALFORMED"
    assert served.word(rig.mistyped(native, 40)) == "MISTYPED"
    assert served.word(rig.other_secret(native)) == "UNKNOWN"
    assert served.word(" " + native) == "WHITESPACE"


def test_cells_are_as_with_create_from(served):
    served.cli("plan", "set", "gold", "--rate", "7/s")
    columns = ("name", "plan", "digest", "scopes", "env", "owner", "expires",
               "quota", "rate", "burst")
    rows = [("a", "gold", hexed(b"a"), "x:read y", "dev", "web", "30d", "",
             "", ""),
            ("b", "", hexed(b"b"), "", "", "", "", "9/day", "5/s", "6"),
            ("c", "", hexed(b"c"), "", "", "", "", "", "", "")]
    take(served, rows, "--owner", "all", columns=columns)
    a, b, c = (served.verify(x) for x in (b"a", b"b", b"c"))
    assert (a.owner, a.limit, a.id[:7]) == ("web", 7, "jt_dev_")
    assert 29 * 86400 < a.expires_in_s <= 30 * 86400
    assert (b.owner, b.limit) == ("all", 6)
    assert (c.owner, c.limit, c.id[:8]) == ("all", -1, "jt_live_")
    assert 89 * 86400 < c.expires_in_s <= 90 * 86400
    assert served.word(b"a", "SCOPE", "x:read") == "VALID"
    assert served.word(b"a", "SCOPE", "z") == "INSUFFICIENT_SCOPE"
    assert served.word(b"a", "ENV", "live") == "WRONG_ENVIRONMENT"


def test_a_maximum_lifetime_holds_for_imports(site):
    site.cli("init", "--max-lifetime", "30d")
    got, _ = take(site, [(hexed(b"a"), "a", "90d"), (hexed(b"b"), "b", "")],
                  "--skip-bad", columns=("digest", "name", "expires"))
    assert got[2]["result"] == "bad" and "maximum lifetime" in got[2]["why"]
    assert got[3]["result"] == "imported"


# ---- and are like any other token ----

def test_limits_count(served):
    one(served, GITHUB, "one", "--rate", "1/h", "--burst", "3")
    words = [served.word(GITHUB) for _ in range(5)]
    assert words == ["VALID"] * 3 + ["RATE_LIMITED"] * 2


def test_quota_counts(served):
    one(served, GITHUB, "one", "--quota", "2/month")
    words = [served.word(GITHUB) for _ in range(3)]
    assert words == ["VALID"] * 2 + ["QUOTA_EXCEEDED"]


def test_suspend_renew_set_rename_revoke(served):
    id_ = one(served)
    served.cli("suspend", id_)
    assert served.word(GITHUB) == "SUSPENDED"
    served.cli("resume", id_)
    assert served.word(GITHUB) == "VALID"
    served.cli("renew", id_, "--expires", "1y")
    assert served.verify(GITHUB).expires_in_s > 300 * 86400
    served.cli("set", id_, "--owner", "web", "--rate", "5/s")
    v = served.verify(GITHUB)
    assert (v.owner, v.limit) == ("web", 5)
    served.cli("rename", id_, "CI")
    assert served.list()[0]["name"] == "CI"
    served.revoke(id_)
    assert served.word(GITHUB) == "REVOKED"


def test_expires(served):
    one(served, GITHUB, "one", "--expires", "2s")
    assert served.word(GITHUB) == "VALID"
    rig.until(lambda: served.word(GITHUB) == "EXPIRED", 5, "expiry")


def test_rotation_makes_it_native_and_the_old_value_works_on(served):
    id_ = one(served, GITHUB, "one", "--rate", "1/h", "--burst", "4")
    assert served.word(GITHUB) == "VALID"
    new = served.cli("rotate", id_, "--overlap", "1h").out.strip()
    assert new[:24] == id_ and len(new) == 64
    v = served.verify(new)
    assert (v.word, v.id, v.notes) == ("VALID", id_, "")
    v = served.verify(GITHUB)
    assert (v.word, v.id, v.notes) == ("VALID", id_, "OLD_VALUE")
    assert served.verify(new).remaining == 0  # one limit for both
    served.daemons[-1].stop()
    served.start("--workers", "1")
    assert served.verify(new).notes == ""
    assert served.verify(GITHUB).notes == "OLD_VALUE"
    served.cli("rotate", id_, "--finish")
    v = served.verify(GITHUB)
    assert (v.word, v.notes) == ("REVOKED", "OLD_VALUE")
    served.revoke(id_)
    assert served.word(new) == "REVOKED"
    # the digest is history, but nobody else's
    got, _ = take(served, [(hexed(GITHUB), "again")])
    assert (got[2]["result"], got[2]["id"], got[2]["why"]) == \
        ("exists", id_, "revoked")


def test_a_rotation_that_is_not_delivered_is_taken_back(served):
    id_ = one(served)
    with open("/dev/full", "wb") as full:
        served.cli("rotate", id_, rc=4, stdout=full)
    v = served.verify(GITHUB)
    assert (v.word, v.notes) == ("VALID", "")


def test_purge_forgets(served):
    id_ = one(served, GITHUB, "one", "--expires", "1s")
    rig.until(lambda: served.word(GITHUB) == "EXPIRED", 5, "expiry")
    served.cli("purge", "--dead-for", "0", "--yes")
    assert served.word(GITHUB) == "MALFORMED"
    got, _ = take(served, [(hexed(GITHUB), "again"), (hexed(GITHUB), "twice")])
    assert [r["result"] for r in got.values()] == ["imported", "duplicate"]
    assert got[2]["id"] == id_
    assert served.word(GITHUB) == "VALID"
    served.revoke(id_)
    served.cli("purge", "--dead-for", "0", "--yes")
    assert one(served, GITHUB, "dev", "--env", "dev") != id_
    got, _ = take(served, [(hexed(GITHUB), "again")])
    assert got[2]["result"] == "exists"
    served.check()
    served.daemons[-1].stop()
    served.start("--workers", "1")
    assert served.verify(GITHUB).id.startswith("jt_dev_")


def test_show_and_list_mask_the_made_id(served):
    id_ = one(served)
    assert re.fullmatch(r"jt_live_[0-9A-Za-z]{16}", id_)
    shown = json.loads(served.cli("show", id_, "--json").out)
    assert shown["id"] == id_ and shown["status"] == "Active"
    line = served.cli("list").out
    assert id_ in line and GITHUB.decode() not in line
    assert served.list()[0]["id"] == id_


def test_choices_and_plans_take_imports(served):
    served.cli("plan", "set", "gold", "--rate", "7/s")
    one(served, GITHUB, "one", "--owner", "web", "--plan", "gold")
    served.cli("plan", "set", "gold", "--rate", "8/s")
    assert served.verify(GITHUB).limit == 8
    served.cli("revoke", "--owner", "web", "--yes")
    assert served.word(GITHUB) == "REVOKED"


def test_compaction_keeps_imports(served):
    take(served, [(hexed(v), n) for n, v in BASIC.items()])
    ids = {t["name"]: t["id"] for t in served.list()}
    new = served.cli("rotate", ids["github"], "--overlap", "1h").out.strip()
    served.revoke(ids["jwt"])
    served.cli("journal", "compact")

    def words():
        return {n: served.word(v) for n, v in BASIC.items()}
    before = words()
    assert before["jwt"] == "REVOKED"
    assert set(before.values()) == {"VALID", "REVOKED"}
    served.daemons[-1].stop()
    served.start("--workers", "1")
    assert words() == before and served.word(new) == "VALID"
    got, _ = take(served, [(hexed(v), n) for n, v in BASIC.items()])
    assert {r["result"] for r in got.values()} == {"exists"}


# ---- again and again ----

def test_importing_again_changes_nothing(served):
    values = {f"t{i}": b"value %d" % i for i in range(5)}
    rows = [(hexed(v), n) for n, v in values.items()]
    first, _ = take(served, rows)
    served.revoke(first[2]["id"])
    served.cli("suspend", first[3]["id"])
    before = served.journal.read_bytes()
    again, said = take(served, rows)
    assert {r["result"] for r in again.values()} == {"exists"}
    assert [r["why"] for r in again.values()] == \
        ["revoked", "suspended"] + ["active"] * 3
    assert [r["id"] for r in again.values()] == \
        [r["id"] for r in first.values()]
    assert served.journal.read_bytes() == before
    assert "5 there already" in said
    assert served.word(values["t0"]) == "REVOKED"
    # another environment or name makes it no other token
    got, _ = take(served, [(*r, "dev") for r in rows],
                  columns=("digest", "name", "env"))
    assert {r["result"] for r in got.values()} == {"exists"}
    # and new rows among old ones come in
    got, _ = take(served, rows + [(hexed(b"new"), "new")])
    assert got[7]["result"] == "imported"
    assert served.word(b"new") == "VALID"


def test_the_same_digest_twice_in_a_table(served):
    a, b = hexed(b"a"), hexed(b"b")
    got, said = take(served, [(a, "a"), (b, "b"), (a.upper(), "a again"),
                              (a, "and again")])
    assert [r["result"] for r in got.values()] == \
        ["imported", "imported", "duplicate", "duplicate"]
    assert got[4]["why"] == got[5]["why"] == "duplicate of line 2"
    assert "2 duplicates" in said
    assert [t["name"] for t in served.list()] == ["a", "b"]


def test_the_same_digest_under_another_scheme_is_refused(served):
    take(served, [(hexed(b"long"), "whole")])
    for options in ([], ["--env", "dev"]):
        got, _ = take(served, [(hexed(b"long"), "behind")], *options,
                      scheme="sha256-prefixed", rc=2)
        assert got[2]["result"] == "bad" and "scheme" in got[2]["why"]
    assert served.word(b"long") == "VALID"


def test_digests_that_begin_alike_are_refused(served):
    a = hexed(b"a")
    other = a[:16] + hexed(b"b")[16:]
    got, _ = take(served, [(a, "a"), (other, "b")], rc=2)
    assert got[2]["result"] == "ready"
    assert got[3]["result"] == "bad" and "8 bytes" in got[3]["why"]
    got, _ = take(served, [(a, "a"), (other, "b")], "--skip-bad")
    assert got[2]["result"] == "imported"
    got, _ = take(served, [(other, "b")], "--env", "dev", rc=2)
    assert "8 bytes" in got[2]["why"]
    assert served.word(b"a") == "VALID" and served.word(b"b") != "VALID"


def test_two_imports_of_one_table_at_once(served):
    rows = [(hexed(b"value %d" % i), f"t{i}") for i in range(3000)]
    path, results = table(served, rows), []

    def run():
        done = served.cli("import", "--scheme", "sha256-hex", "--json", path,
                          rc=None)
        results.append(done)
    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    words = [json.loads(x)["result"] for d in results
             for x in d.out.splitlines()]
    assert all(d.rc == 0 for d in results), [d.err for d in results]
    assert words.count("imported") == 3000
    assert words.count("exists") == 9000
    assert len(served.list()) == 3000
    served.check()


# ---- what is refused ----

BAD = [
    ("sha256-hex", "", "is empty"),
    ("sha256-hex", hexed(b"a")[:-1], "has 63 characters"),
    ("sha256-hex", hexed(b"a") + "0", "has 65 characters"),
    ("sha256-hex", "g" + hexed(b"a")[1:], "character 1 is no digit"),
    ("sha256-hex", hexed(b"a")[:-1] + "z", "character 64 is no digit"),
    ("sha256-hex", FORMS["sha256-base64"](b"a"), "has 44 characters"),
    ("sha256-hex", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "has 40"),
    ("sha256-hex", hexed(b""), "of an empty value"),
    ("sha256-base64", hexed(b"a"), "has 64 characters"),
    ("sha256-base64", FORMS["sha256-base64"](b"a")[:42], "has 42 characters"),
    ("sha256-base64", "*" * 43, "is not base64"),
    ("sha256-base64", "A" * 42 + "B", "is not base64"),  # bits left over
    ("sha256-prefixed", FORMS["sha256-base64"](b"a"), "has 44 characters"),
]


@pytest.mark.parametrize("scheme,cell,why", BAD)
def test_a_cell_that_is_no_digest(shared, scheme, cell, why):
    before = shared.journal.read_bytes() if shared.journal.exists() else b""
    got, said = take(shared, [(cell, "a"), (FORMS[scheme](b"_b"), "b")],
                     scheme=scheme, rc=2)
    assert got[2]["result"] == "bad" and why in got[2]["why"]
    assert got[2]["why"].startswith("digest ")
    assert got[3]["result"] in ("ready", "exists")
    assert f"in.csv:2: digest {got[2]['why'][7:]}" in said
    assert "nothing was imported" in said
    assert not cell or cell not in said
    after = shared.journal.read_bytes() if shared.journal.exists() else b""
    assert before == after


def test_bad_rows_are_left_out_on_demand(served):
    rows = [(hexed(b"a"), "a", ""), ("nonsense", "b", ""),
            (hexed(b"c"), "", ""), (hexed(b"d"), "d", "yesterday"),
            (hexed(b"e"), "e", "")]
    columns = ("digest", "name", "expires")
    got, said = take(served, rows, columns=columns, rc=2)
    assert [r["result"] for r in got.values()] == \
        ["ready", "bad", "bad", "bad", "ready"]
    assert served.list() == []
    got, said = take(served, rows, "--skip-bad", columns=columns)
    assert [r["result"] for r in got.values()] == \
        ["imported", "bad", "bad", "bad", "imported"]
    assert got[4]["why"].startswith("name ")
    assert got[5]["why"].startswith("expires ")
    assert "2 imported" in said and "3 bad" in said
    assert [t["name"] for t in served.list()] == ["a", "e"]


def test_a_plan_that_is_not_there_is_a_bad_row(served):
    served.cli("plan", "set", "gold", "--rate", "7/s")
    got, _ = take(served, [(hexed(b"a"), "a", "gold"),
                           (hexed(b"b"), "b", "silver")], rc=2,
                  columns=("digest", "name", "plan"))
    assert got[2]["result"] == "ready"
    assert got[3]["why"].startswith("plan does not exist")


@pytest.mark.parametrize("header,why", [
    ("name\n", "no column `digest`"), ("digest\n", "no column `name`"),
    ("digest,name,value\n", "known are digest, name"),
    ("digest,digest,name\n", "twice"), ("digest,name\n", "no rows"),
    ('digest,name\n"a', "not CSV")])
def test_tables_that_are_none(site, header, why):
    (site.root / "in.csv").write_text(header)
    done = site.cli("import", "--scheme", "sha256-hex", site.root / "in.csv",
                    rc=2)
    assert why in done.err and not done.out
    assert not site.journal.exists()


def test_wrong_use(site):
    path = table(site, [(hexed(b"a"), "a")])
    assert "--scheme" in site.cli("import", path, rc=2).err
    assert "--scheme" in site.cli("import", "--scheme", "md5", path, rc=2).err
    site.cli("import", "--scheme", "sha256-hex", rc=2)
    site.cli("import", "--scheme", "sha256-hex", site.root / "no", rc=4)
    out = site.root / "out"
    out.write_text("mine")
    site.cli("import", "--scheme", "sha256-hex", "--out", out, path, rc=4)
    assert out.read_text() == "mine"
    assert not site.journal.exists()


def test_no_room_means_nothing_is_imported(site):
    site.start("--workers", "1", "--capacity", "1000",
               "--capacity-max", "1000")
    rows = [(hexed(b"value %d" % i), f"t{i}") for i in range(1001)]
    before = site.journal.read_bytes() if site.journal.exists() else b""
    for options in (["--dry-run"], []):
        done = site.cli("import", "--scheme", "sha256-hex",
                        table(site, rows), *options, rc=1)
        assert "full" in done.err
    assert not site.list() if site.journal.exists() else True
    got, _ = take(site, rows[:1000])
    assert len(got) == 1000 and site.word(b"value 999") == "VALID"


# ---- dry runs, results ----

def test_a_dry_run_says_what_would_be_and_does_nothing(site):
    rows = [(hexed(b"a"), "a"), (hexed(b"b"), "b"), (hexed(b"a"), "c")]
    got, said = take(site, rows, "--dry-run")
    assert not site.journal.exists()
    assert [r["result"] for r in got.values()] == \
        ["ready", "ready", "duplicate"]
    real, _ = take(site, rows)
    assert real[2]["id"] == got[2]["id"]  # what would be is what is
    before = site.journal.read_bytes()
    got, said = take(site, rows + [(hexed(b"n"), "n"), ("x", "y")],
                     "--dry-run", rc=2)
    assert [r["result"] for r in got.values()] == \
        ["exists", "exists", "exists", "ready", "bad"]
    assert "0 imported, 1 ready" in said
    got, _ = take(site, rows + [("x", "y")], "--dry-run", "--skip-bad")
    assert site.journal.read_bytes() == before


def test_results_as_table_with_tabs_and_in_a_file(served):
    path = table(served, [(hexed(b"a"), "a"), ("x", "b")])
    done = served.cli("import", "--scheme", "sha256-hex", "--skip-bad", path)
    rows = [x.split("\t") for x in done.out.splitlines()]
    assert rows[0][:2] == ["2", "imported"] and rows[0][3] == ""
    assert rows[1] == ["3", "bad", "",
                       "digest has 1 characters, a SHA-256 in hex has 64"]
    out = served.root / "results"
    done = served.cli("import", "--scheme", "sha256-hex", "--skip-bad",
                      "--out", out, path)
    assert not done.out
    assert out.read_text().splitlines()[0] == \
        f"2\texists\t{rows[0][2]}\tactive"
    assert "1 there already" in done.err


def test_results_that_cannot_be_told_do_not_undo_the_import(served):
    path = table(served, [(hexed(b"a"), "a")])
    with open("/dev/full", "wb") as full:
        done = served.cli("import", "--scheme", "sha256-hex", path, rc=4,
                          stdout=full)
    assert "1 imported" in done.err
    assert served.word(b"a") == "VALID"
    got, _ = take(served, [(hexed(b"a"), "a")])
    assert got[2]["result"] == "exists"


def test_a_table_from_stdin(served):
    served.cli("import", "--scheme", "sha256-hex", "-",
               input=f"digest,name\n{hexed(b'a')},a\n")
    assert served.word(b"a") == "VALID"


def test_without_a_sidecar_it_says_when_it_takes_effect(site):
    _, said = take(site, [(hexed(b"a"), "a")])
    assert "takes effect when the sidecar starts" in said
    site.start("--workers", "1")
    assert site.word(b"a") == "VALID"


def test_ids_begin_as_the_journal_says(site):
    site.cli("init", "--prefix", "acme")
    site.start("--workers", "1")
    id_ = one(site, GITHUB, "one", "--env", "dev2")
    assert id_.startswith("acme_dev2_") and len(id_) == 24
    assert site.verify(GITHUB).id == id_


# ---- nothing leaks ----

def test_no_value_and_no_digest_gets_where_it_does_not_belong(site):
    native = site.create("native")
    daemon = site.start("--workers", "1")
    theirs = b"ghp_aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gH3jK5"
    # our value, theirs, cut ones, in every cell
    for column in ("digest", "name", "owner", "expires", "env", "plan",
                   "scopes", "rate"):
        for cell in (native, native[:40], native + "=", theirs.decode()):
            columns = ["digest", "name"]
            row = [hexed(theirs), "x"]
            if column not in columns:
                columns.append(column)
                row.append("")
            row[columns.index(column)] = cell
            if column in ("name", "owner", "scopes") and \
                    cell == theirs.decode():
                continue  # no form by which to know it
            got, said = take(site, [row], columns=columns, rc=2)
            assert got[2]["result"] == "bad"
            assert_clean(said + json.dumps(got), [native], column)
            assert theirs.decode() not in said + json.dumps(got)
    take(site, [(hexed(theirs), "theirs")])
    assert site.word(theirs) == "VALID"
    site.cli("verify", input=theirs + b"\n")
    site.word(theirs + b"x")
    new = site.cli("rotate", site.list()[1]["id"]).out.strip()
    site.dump()
    assert daemon.stop() == 0
    files = [p for d in (site.data, site.run) for p in d.rglob("*")
             if p.is_file()] + list(site.root.glob("log*"))
    for path in files:
        data = path.read_bytes()
        assert theirs not in data and theirs[10:30] not in data, path
        assert_clean(data, [native, new], path.name)
    for args, (_, out, err) in site.said:
        assert theirs.decode() not in out + err, args
        if args[0] != "rotate" and args[0] != "create":
            assert_clean(out + err, [native, new], args[0])


def test_a_cut_value_of_ours_never_passes_for_base64(served):
    for _ in range(40):  # every fourth would decode
        native = served.create("n")
        got, _ = take(served, [(native[:43], "x")], scheme="sha256-base64",
                      rc=2)
        assert "token value" in got[2]["why"]
