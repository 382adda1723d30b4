"""Bad input to the tools: one line that says what to do, the right exit
code, nothing changed. 2 usage, 3 no sidecar, 4 files, 1 a negative answer."""
import os
import re
import subprocess
from datetime import datetime, timedelta, timezone

import pytest

import rig
from rig import lines


def refused(site, rc, *args, said=None, **kw):
    """It ends with RC, one line on stderr, none on stdout; journal as was."""
    before = site.journal.read_bytes() if site.journal.exists() else None
    done = site.cli(*args, rc=rc, **kw)
    assert done.out == ""
    assert len(lines(done.err)) == 1 and done.err.startswith("jeton: ")
    assert len(done.err) > 24, "says too little"
    assert not re.search(r"[^\n -~\xa0-\U0010ffff]", done.err)
    if said:
        assert said in done.err
    after = site.journal.read_bytes() if site.journal.exists() else None
    assert after == before
    return done


@pytest.fixture(scope="module", autouse=True)
def first(shared):
    return shared.create("first")


# ---- names and owners ----

@pytest.mark.parametrize("name", [
    "x" * 65, "é" * 33, "", "a\x1b[31mred", "a\nb", "a\tb", "\x7f", "a\rb",
    "\u0085", "\u2028", "a\u202eb", "a\u2066b", "\ufeffx"])
def test_bad_names_are_refused(shared, name):
    refused(shared, 2, "create", name)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"a\xc3", b"\xc0\x80",
                                 b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_names_that_are_no_utf8_are_refused(shared, raw):
    refused(shared, 2, "create", os.fsdecode(raw))


@pytest.mark.parametrize("name", ["x", "y" * 64, "é" * 32, "Production API",
                                  "日本語", "naïve \"quoted\" 'x' \\ %s",
                                  "🔑" * 16, "--name"])
def test_good_names_are_kept_as_they_are(shared, name):
    token = shared.create("--", name) if name.startswith("--") else \
        shared.create(name)
    assert shared.word(token) == "VALID"
    assert shared.list()[-1]["name"] == name


@pytest.mark.parametrize("owner", ["x" * 49, "a\x1bb", "", "\u202e"])
def test_bad_owners_are_refused(shared, owner):
    refused(shared, 2, "create", "x", "--owner", owner)


# ---- expiry ----

def day(days):
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime(
        "%Y-%m-%d")


@pytest.mark.parametrize("expires", [
    "0d", "0s", "2020-01-01", "1969-12-31", "2001-01-01T00:00:00Z",
    "49m", "5y", "1462d", "35065h", "999999999999999999999d",
    "9999-12-31", "tomorrow", "90", "d", "90 d", "-1d", "+1d", "1.5d", "90D",
    "2030-13-01", "2030-02-30", "2027-1-1", "2030-01-01T25:00:00Z",
    "2030-01-01T00:00:00", "90d90d", "", " ", "never!", "1e2d", "0x10d"])
def test_bad_expiry_is_refused(shared, expires):
    refused(shared, 2, "create", "x", "--expires", expires)


def test_expiry_yesterday_and_beyond_4_years_are_refused(shared):
    refused(shared, 2, "create", "x", "--expires", day(-1), said="future")
    refused(shared, 2, "create", "x", "--expires", day(4 * 366 + 2),
            said="4 years")


@pytest.mark.parametrize("expires,least_s,most_s", [
    ("1s", 0, 1), ("90min", 5390, 5400), ("12h", 43190, 43200),
    ("2w", 14 * 86400 - 9, 14 * 86400), ("48m", 4 * 365 * 86400, 126316800)])
def test_good_expiry_is_taken(shared, expires, least_s, most_s):
    token = shared.create("x", "--expires", expires)
    assert least_s <= shared.verify(token).expires_in_s <= most_s


def test_a_date_is_good_to_the_end_of_its_day(shared):
    token = shared.create("x", "--expires", day(10))
    assert shared.cli("list").out.splitlines()[-1].split("\t")[2] == day(10)
    assert shared.verify(token).expires_in_s > 9 * 86400


# ---- environment, limits ----

@pytest.mark.parametrize("env", ["Live", "toolong", "a-b", "a_b", "é", ""])
def test_bad_environments_are_refused(shared, env):
    refused(shared, 2, "create", "x", "--env", env)


@pytest.mark.parametrize("rate", ["5", "5/", "/s", "0/s", "-5/s", "5/sec",
                                  "5/S", "1.5/s", "5 /s", "x/s", "", "5/s/s",
                                  "99999999999999999999/s", "20000000/s"])
def test_bad_rates_are_refused(shared, rate):
    refused(shared, 2, "create", "x", "--rate", rate)


@pytest.mark.parametrize("burst", ["0", "-1", "x", "", "1.5",
                                   "99999999999999999999"])
def test_bad_bursts_are_refused(shared, burst):
    refused(shared, 2, "create", "x", "--rate", "5/s", "--burst", burst)


def test_a_burst_without_a_rate_is_refused(shared):
    refused(shared, 2, "create", "x", "--burst", "5")


@pytest.mark.parametrize("rate", ["1/s", "5/min", "1000/h", "10/day",
                                  "10000000/s"])
def test_good_rates_are_taken(shared, rate):
    token = shared.create("x", "--rate", rate)
    assert shared.verify(token).limit == int(rate.split("/")[0])
    assert shared.list()[-1]["rate"] == rate


# ---- verbs, options, ids ----

@pytest.mark.parametrize("args", [
    [], ["creat"], ["create"], ["create", "a", "b"], ["create", "a", "--foo"],
    ["create", "a", "--json=1"], ["create", "a", "--expires"],
    ["create", "a", "--env", "a", "--env", "b"], ["list", "x"],
    ["revoke"], ["revoke", "a", "b"], ["show"], ["journal"],
    ["journal", "frob"], ["list", "--offline"], ["create", "a", "--exp", "1d"],
    ["create", "a", "--from", "x"], ["create", "--from", "x"],
    ["create", "a", "--out", "-"], ["help", "frob"], ["-x"], [""]])
def test_wrong_usage(shared, args):
    before = shared.journal.read_bytes()
    done = shared.cli(*args, rc=2)
    assert done.out == "" and done.err
    assert len(lines(done.err)) == 1 or "usage" in done.err
    assert shared.journal.read_bytes() == before


@pytest.mark.parametrize("verb", ["show", "revoke"])
def test_unknown_id_is_a_negative_answer(shared, first, verb):
    refused(shared, 1, verb, first[:23] + ("a" if first[23] != "a" else "b"))


@pytest.mark.parametrize("verb", ["show", "revoke"])
@pytest.mark.parametrize("bad", ["x", "", "jt_live_", "{t}0", "{t}", "../x",
                                 "jt_live_AAAAAAAAAAAAAAA\x1b", "{T}"])
def test_what_is_no_id_is_a_usage_fault(shared, first, verb, bad):
    bad = bad.replace("{t}0", first[:23]).replace("{t}", first)
    bad = bad.replace("{T}", first[:24].upper())
    refused(shared, 2, verb, bad)


def test_a_token_as_argument_is_refused_and_says_why(shared, first):
    for args in (["verify", first], ["revoke", first], ["show", first]):
        done = refused(shared, 2, *args)
        assert first[24:34] not in done.err
    assert shared.word(first) == "VALID"


def test_verify_without_sidecar_is_exit_3(site):
    token = site.create()
    refused(site, 3, "verify", input=token)


def test_verify_of_a_missing_file_is_exit_4(shared):
    refused(shared, 4, "verify", "--file", "/nonexistent/x")


@pytest.mark.parametrize("args", [["--cost", "-1"], ["--cost", "x"],
                                  ["--env", ""], ["--scope", "a,b"]])
def test_verify_with_bad_options(shared, first, args):
    refused(shared, 2, "verify", *args, input=first)


# ---- files, rights ----

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
@pytest.mark.parametrize("args", [
    ["list"], ["show", "{id}"], ["create", "x"], ["revoke", "{id}"],
    ["journal", "check"], ["journal", "dump", "--json"]])
def test_another_uid_is_refused(shared, first, args):
    os.chmod(shared.root, 0o755)  # the data directory itself is 0700
    args = [a.replace("{id}", first[:24]) for a in args]
    refused(shared, 4, *args, wrapper=NOBODY, said=str(shared.data))


@pytest.mark.parametrize("args", [["list"], ["show", "jt_live_" + "a" * 16],
                                  ["journal", "check"],
                                  ["revoke", "jt_live_" + "a" * 16],
                                  ["journal", "dump", "--json"]])
def test_no_journal_at_all(site, args):
    refused(site, 4, *args)
    assert not site.journal.exists()


def test_a_data_path_that_is_a_file(site):
    (site.root / "f").write_text("x")
    refused(site, 4, "list", "--data", site.root / "f")
    refused(site, 4, "create", "x", "--data", site.root / "f")
    assert (site.root / "f").read_text() == "x"


def test_a_run_path_too_long_for_a_socket(site):
    long = site.root / ("r" * 120)
    p = subprocess.run([rig.JETOND, "--run", long], env=site.env,
                       capture_output=True, text=True, timeout=20)
    assert p.returncode in (71, 78) and len(lines(p.stderr)) == 1
    assert "too long" in p.stderr


@pytest.mark.parametrize("flags", [
    ["--workers", "x"], ["--workers", "-1"], ["--capacity", "63"],
    ["--capacity", "1e6"], ["--connections", "0"], ["--frob"], ["x"],
    ["--workers"], ["--connections", "99999999999999999999"]])
def test_daemon_usage_is_exit_64(site, flags):
    p = subprocess.run([rig.JETOND, *flags], env=site.env, timeout=20,
                       capture_output=True, text=True)
    assert p.returncode == 64 and len(lines(p.stderr)) == 1
    assert not site.data.exists() or not site.journal.exists()


def test_daemon_with_a_bad_environment_is_exit_78(site):
    p = subprocess.run([rig.JETOND], env={**site.env, "JETON_WORKERS": "x"},
                       capture_output=True, text=True, timeout=20)
    assert p.returncode == 78 and "JETON_WORKERS" in p.stderr


# ---- a damaged journal ----

def flip(path, at, bit=0):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


@pytest.mark.parametrize("args", [
    ["list"], ["create", "x"], ["revoke", "{id}"], ["show", "{id}"],
    ["journal", "check"], ["journal", "dump", "--json"]])
@pytest.mark.parametrize("at", [12288 + 256 * 3 + 70, 40])
def test_damage_is_told_with_its_place_and_nothing_is_written(site, args, at):
    ids = [site.create(f"t{i}")[:24] for i in range(5)]
    flip(site.journal, at)
    before = site.journal.read_bytes()
    args = [a.replace("{id}", ids[0]) for a in args]
    # a writer looks at the last record only: older damage is found by those
    # who read it, and by check
    if at > 12288 and args[0] == "create":
        done = site.cli(*args, rc=None)
        assert done.rc in (0, 4)
        return
    done = site.cli(*args, rc=4)
    assert len(lines(done.err)) == 1
    assert re.search(r"record 4\b|offset|header", done.err), done.err
    assert site.journal.read_bytes() == before


def test_the_daemon_refuses_a_damaged_journal(site):
    for i in range(5):
        site.create(f"t{i}")
    flip(site.journal, 12288 + 256 * 3 + 70)
    daemon = site.start(wait=False)
    assert daemon.process.wait(20) == 74
    said = [x for x in lines(daemon.log()) if "epoll" not in x]
    assert len(said) == 1 and "13056" in said[0], said


# ---- stdout that does not take the value ----

def assert_taken_back(site, done, before):
    """Exit 4; whatever was created is revoked."""
    assert done.rc == 4 and len(lines(done.err)) == 1, done
    created = site.list()[before:]
    assert len(created) <= 1
    assert [x["status"] for x in created] in ([], ["Revoked"])


@pytest.mark.parametrize("serving", [True, False])
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_value_that_a_full_disk_does_not_take_is_revoked(site, serving, json):
    site.cli("init")
    if serving:
        site.start("--workers", "1")
    with open("/dev/full", "wb") as full:
        done = site.cli("create", "lost", *json, rc=None, stdout=full)
    assert_taken_back(site, done, 0)


@pytest.mark.parametrize("serving", [True, False])
def test_value_that_a_closed_pipe_does_not_take_is_revoked(site, serving):
    site.cli("init")
    if serving:
        site.start("--workers", "1")
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        done = site.cli("create", "lost", rc=None, stdout=pipe)
    assert_taken_back(site, done, 0)


def test_create_with_stdout_closed_creates_nothing(served):
    p = subprocess.run(["sh", "-c", '"$0" create lost >&-', rig.JETON],
                       env=served.env, capture_output=True, text=True)
    assert p.returncode == 4 and len(lines(p.stderr)) == 1
    assert served.list() == []


@pytest.mark.parametrize("args", [["list"], ["status"], ["journal", "check"],
                                  ["journal", "dump", "--json"],
                                  ["list", "--json"]])
def test_an_answer_that_is_lost_is_exit_4(shared, args):
    with open("/dev/full", "wb") as full:
        done = shared.cli(*args, rc=4, stdout=full)
    assert len(lines(done.err)) == 1


# ---- the table is full ----

def test_a_full_table_refuses_and_records_nothing(site):
    site.start("--workers", "1", "--capacity", "64",
               "--capacity-max", "64")
    tokens = site.bulk(60)
    before = site.dump()
    (site.root / "more.csv").write_text("name\n" + "x\n" * 200)
    done = site.cli("create", "--from", site.root / "more.csv", "--out",
                    site.root / "more.out", rc=1)
    assert len(lines(done.err)) == 1 and "--capacity" in done.err
    assert site.dump() == before
    assert sorted(p.name for p in site.root.glob("more*")) == ["more.csv"]
    while (done := site.cli("create", "x", rc=None)).rc == 0:
        tokens.append(done.out.strip())
        assert len(tokens) < 200
    assert done.rc == 1 and done.out == "" and len(lines(done.err)) == 1
    assert len(tokens) >= 64
    assert len(site.list()) == len(tokens)
    site.revoke(tokens[0])  # never refused for want of room
    assert site.word(tokens[0]) == "REVOKED"
    assert {site.word(t) for t in tokens[1:]} == {"VALID"}


def test_capacity_grows_at_start_with_what_is_stored(site):
    tokens = site.bulk(500)
    site.start("--workers", "1", "--capacity", "64")
    assert site.status()["capacity"] >= 625
    assert {site.word(t) for t in tokens} == {"VALID"}
    assert site.word(site.create()) == "VALID"


# ---- tables ----

@pytest.mark.parametrize("rows,line,column", [
    (["good", "x" * 65, "good"], 3, "name"),
    (["good", '""'], 3, "name"),
    (["good,5d", "good,5x"], 3, "expires"),
    (["good,5d", "bad,2001-01-01", "good,1y"], 3, "expires"),
    (["a,1d", "b,1d,too much"], 3, "more cells"),
    (["a\x1b"], 2, "name"),
])
def test_one_bad_row_refuses_all_with_its_line(served, rows, line, column):
    table, out = served.root / "t.csv", served.root / "t.out"
    table.write_text("name,expires\n" + "\n".join(rows) + "\n")
    before = served.journal.read_bytes()
    done = served.cli("create", "--from", table, "--out", out, rc=2)
    assert f"t.csv:{line}:" in done.err and column in done.err
    assert done.out == "" and not list(served.root.glob("t.out*"))
    assert served.journal.read_bytes() == before


@pytest.mark.parametrize("text", [
    "", "\n", "name\n", "nom\nx\n", "name,name\na,b\n", "expires\n5d\n",
    'name\n"open\n', 'name\na"b\n', "name,frob\na,b\n"])
def test_a_table_that_is_none_is_refused(served, text):
    table, out = served.root / "t.csv", served.root / "t.out"
    table.write_text(text)
    done = served.cli("create", "--from", table, "--out", out, rc=2)
    assert "t.csv" in done.err and done.out == ""
    assert not list(served.root.glob("t.out*")) and served.list() == []


def test_a_missing_table_is_exit_4(served):
    refused(served, 4, "create", "--from", "/nonexistent/x", "--out",
            served.root / "o")


@pytest.mark.parametrize("kind", ["file", "dangling link", "directory"])
def test_an_existing_out_is_refused_and_kept(served, kind):
    out = served.root / "out"
    if kind == "file":
        out.write_text("precious")
    elif kind == "directory":
        out.mkdir()
    else:
        out.symlink_to("/nonexistent/x")
    (served.root / "t.csv").write_text("name\nx\n")
    refused(served, 4, "create", "--from", served.root / "t.csv", "--out", out)
    refused(served, 4, "create", "y", "--out", out)
    assert served.list() == []
    assert kind != "file" or out.read_text() == "precious"
    assert len(list(served.root.glob("out*"))) == 1


def test_out_in_a_missing_or_full_place_creates_nothing(served):
    refused(served, 4, "create", "x", "--out", "/nonexistent/d/o")
    refused(served, 4, "create", "x", "--out", "/proc/o")
    assert served.list() == []
