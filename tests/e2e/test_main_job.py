"""The main job: create, list, verify, revoke, survive a restart."""
import calendar
import json
import os
import pty
import re
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
import redis

import rig
from rig import lines


def test_create_prints_64_characters_alone_on_stdout(served):
    done = served.cli("create", "Production API", "--expires", "90d")
    assert re.fullmatch(r"jt_live_[0-9A-Za-z]{56}\n", done.out)
    assert len(done.out) == 65
    assert done.out[24:64] not in done.err
    assert done.out[:24] in done.err  # the id is no secret, and useful


def test_checksum_is_that_of_the_document(served):
    for _ in range(5):
        token = served.create()
        assert token[58:] == rig.checksum(token[:58])


def test_secrets_never_repeat(served):
    tokens = served.bulk(1000)
    assert len({t[24:58] for t in tokens}) == 1000
    assert len({t[:24] for t in tokens}) == 1000
    assert set("".join(t[24:58] for t in tokens)) == set(rig.DIGITS)


@pytest.mark.parametrize("prefix,env,shape", [
    ("ab", "p", r"ab_p_[0-9A-Za-z]{19}"),
    ("abcd", "prod01", r"abcd_prod01_[0-9A-Za-z]{12}"),
])
def test_id_fills_up_to_24_characters(site, prefix, env, shape):
    site.cli("init", "--prefix", prefix)
    site.start("--workers", "1")
    token = site.create("x", "--env", env)
    assert re.fullmatch(shape, token[:24]) and len(token) == 64
    assert site.word(token, "ENV", env) == "VALID"


@pytest.mark.parametrize("prefix", ["a", "abcde", "AB", "a1", "a_", ""])
def test_init_refuses_a_bad_prefix(site, prefix):
    done = site.cli("init", "--prefix", prefix, rc=2)
    assert len(lines(done.err)) == 1
    assert not site.journal.exists()


def test_init_a_second_time_is_refused_and_changes_nothing(site):
    site.cli("init")
    before = site.journal.read_bytes()
    done = site.cli("init", "--prefix", "zz", rc=4)
    assert len(lines(done.err)) == 1
    assert site.journal.read_bytes() == before


def test_list_shows_name_mask_date_and_each_status(served):
    active = served.create("Production API", "--expires", "1y")
    gone = served.create("Old one", "--expires", "1s")
    revoked = served.create("Leaked", "--expires", "30d")
    served.revoke(revoked)
    rig.until(lambda: served.word(gone) == "EXPIRED", 5, "expiry")
    rows = [x.split("\t") for x in served.cli("list").out.splitlines()]
    assert [r[0] for r in rows] == ["Production API", "Old one", "Leaked"]
    for row, token in zip(rows, (active, gone, revoked)):
        assert len(row) == 4
        assert re.fullmatch(re.escape(token[:24]) + r"[^0-9A-Za-z]+", row[1])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row[2])
    assert [r[3] for r in rows] == ["Active", "Expired", "Revoked"]
    as_json = served.list()
    assert [x["status"] for x in as_json] == ["Active", "Expired", "Revoked"]
    assert [x["id"] for x in as_json] == [t[:24] for t in
                                          (active, gone, revoked)]


def test_list_on_a_terminal_is_an_aligned_table(served):
    served.create("A")
    served.create("Größe und längerer Name")
    main, sub = pty.openpty()
    subprocess.run([rig.JETON, "list"], stdout=sub, env=served.env, check=True)
    os.close(sub)
    text = os.read(main, 65536).decode().replace("\r\n", "\n")
    os.close(main)
    head, first, second = lines(text)
    assert head.split() == ["NAME", "VALUE", "EXPIRES", "STATUS"]
    for word, cell in (("VALUE", "jt_live_"), ("STATUS", "Active")):
        assert head.index(word) == first.index(cell) == second.index(cell)


def add_months(when, months):
    month = when.month - 1 + months
    year, month = when.year + month // 12, month % 12 + 1
    day = min(when.day, calendar.monthrange(year, month)[1])
    return when.replace(year=year, month=month, day=day)


@pytest.mark.parametrize("choice,expected", [
    ("30d", lambda t: t + timedelta(days=30)),
    ("90d", lambda t: t + timedelta(days=90)),
    ("6m", lambda t: add_months(t, 6)),
    ("1y", lambda t: add_months(t, 12)),
    ("never", lambda t: add_months(t, 48)),
    (None, lambda t: t + timedelta(days=90)),
])
def test_expiry_choices_mean_calendar_time(shared, choice, expected):
    before = datetime.now(timezone.utc).replace(microsecond=0)
    token = shared.create("x", *(["--expires", choice] if choice else []))
    after = datetime.now(timezone.utc)
    shown = json.loads(shared.cli("show", token[:24], "--json").out)
    expires = datetime.fromisoformat(shown["expires"].replace("Z", "+00:00"))
    assert expected(before) <= expires <= expected(after)
    left = shared.verify(token).expires_in_s
    now = datetime.now(timezone.utc)
    assert abs((expires - now).total_seconds() - left) < 3


def test_valid_through_redis_cli_python_raw_socket_and_jeton(served):
    token = served.create("x", "--owner", "shop team")
    cli = subprocess.run(["redis-cli", "-s", served.sock, "-x", "VERIFY"],
                         input=token.encode(), capture_output=True)
    assert cli.stdout.decode().splitlines()[:3] == ["VALID", "200", token[:24]]
    python = redis.Redis(unix_socket_path=str(served.sock))
    reply = python.execute_command("VERIFY", token)
    assert rig.verdict(reply).owner == "shop team"
    with served.client() as c:
        c.raw(f"VERIFY {token}\r\n".encode())
        assert rig.verdict(c.read()).word == "VALID"
    done = served.cli("verify", "--json", input=token + "\n")
    assert json.loads(done.out)["verdict"] == "VALID"


def test_verify_of_the_admin_tool_says_why_and_what_to_do(served):
    token = served.create()
    for value, word in ((rig.mistyped(token, 40), "MISTYPED"),
                        (token[:63], "MALFORMED"), (token + " ", "WHITESPACE"),
                        (rig.other_secret(token), "UNKNOWN"), ("", "MISSING")):
        done = served.cli("verify", "--json", input=value, rc=1)
        answer = json.loads(done.out)
        assert answer["verdict"] == word and len(answer["advice"]) > 20


def test_first_request_after_revoke_is_refused_on_every_open_connection(
        served2):
    tokens = served2.bulk(30)
    clients = [served2.client() for _ in range(8)]
    for c in clients:  # every worker's memo knows every token
        for t in tokens:
            assert c.verify(t).word == "VALID"
    for t in tokens:
        served2.revoke(t)
        assert [c.verify(t).word for c in clients] == ["REVOKED"] * 8
    for c in clients:
        c.close()


def test_revoke_leaves_every_other_token_alone(served):
    tokens = served.bulk(50)
    served.revoke(tokens[17])
    with served.client() as c:
        assert [c.verify(t).word for t in tokens] == \
            ["REVOKED" if i == 17 else "VALID" for i in range(50)]


def test_revoke_again_is_no_error_and_records_nothing(served):
    token = served.create()
    served.revoke(token)
    records = len(served.dump())
    done = served.revoke(token)
    assert "already" in done.err
    assert len(served.dump()) == records
    assert served.word(token) == "REVOKED"


def test_restart_gives_the_same_answers(site):
    daemon = site.start("--workers", "2")
    tokens = site.bulk(200, columns="name,env,owner,rate",
                       row="{name} {i},e{i},team {i},7/min")
    tokens += [site.create(f"single {i}") for i in range(5)]
    for t in tokens[::3]:
        site.revoke(t)

    def answers():
        with site.client() as c:
            return [c.verify(t, "COST", 0)[:3] + c.verify(t, "COST", 0)[4:6] +
                    (c.verify(t, "COST", 0).owner,) for t in tokens]

    before = answers(), site.cli("list").out, site.check(), site.dump()
    assert [a[0] for a in before[0]] == \
        ["REVOKED" if i % 3 == 0 else "VALID" for i in range(205)]
    assert daemon.stop() == 0
    site.start("--workers", "1")
    assert (answers(), site.cli("list").out, site.check(), site.dump()) == \
        before


def test_show_tells_all_and_counts_uses(served):
    token = served.create("Analytics", "--owner", "bi", "--env", "prod",
                          "--rate", "100/min", "--burst", "3")
    with served.client() as c:
        for _ in range(3):
            assert c.verify(token).word == "VALID"
        for _ in range(2):
            assert c.verify(token).word == "RATE_LIMITED"
    shown = json.loads(served.cli("show", token[:24], "--json").out)
    assert {k: shown[k] for k in ("id", "name", "env", "owner", "status",
                                  "rate", "burst", "uses", "refusals")} == {
        "id": token[:24], "name": "Analytics", "env": "prod", "owner": "bi",
        "status": "Active", "rate": "100/min", "burst": 3, "uses": 3,
        "refusals": 2}
    served.revoke(token)
    shown = json.loads(served.cli("show", token[:24], "--json").out)
    assert shown["status"] == "Revoked" and "revoked" in shown


def test_status_is_ok_and_true(served2):
    tokens = served2.bulk(10)
    for t in tokens:
        served2.word(t)
    status = json.loads(served2.cli("status", "--json").out)
    assert status["health"] == "ok" and status["state"] == "serving"
    assert status["tokens"] == status["applied"] == status["committed"] == 10
    assert status["verdicts"]["VALID"] == 10
    assert [w["state"] for w in status["workers"]] == ["serving"] * 3
    assert [w["door"] for w in status["workers"]] == ["resp", "resp", "http"]
    human = served2.cli("status").out
    assert "ok" in human and "serving" in human


def test_status_without_sidecar_is_exit_3(site):
    site.cli("init")
    done = site.cli("status", rc=3)
    assert len(lines(done.err)) == 1 and "jetond" in done.err + done.out


def test_receipts_are_part_of_the_history_and_others_are_not(served):
    receipts = []
    for i in range(3):
        done = served.cli("create", f"t{i}")
        receipts.append(re.search(r"\b\d+:[0-9a-f]{32}\b", done.err)[0])
    for r in receipts:
        served.cli("journal", "check", "--expect", r)
    assert served.check() == receipts[-1]
    number, tag = receipts[1].split(":")
    for bad in (f"{number}:{'0' * 32}", f"9:{tag}", f"3:{tag}"):
        done = served.cli("journal", "check", "--expect", bad, rc=4)
        assert len(lines(done.err)) == 1
    for garbage in ("x", "1", "1:", ":00", f"1:{'g' * 32}", f"-1:{tag}"):
        served.cli("journal", "check", "--expect", garbage, rc=2)


def test_dump_shows_every_record_and_no_secret(served):
    token = served.create("x", "--rate", "5/s")
    served.revoke(token)
    records = served.dump()
    assert [r["type"] for r in records] == ["plan", "create", "revoke"]
    assert [r["number"] for r in records] == [1, 2, 3]
    assert records[1]["id"] == token[:24]
    assert token[24:] not in json.dumps(records)


def test_create_without_sidecar_works_once_it_starts(site):
    done = site.cli("create", "early")
    assert "takes effect when the sidecar starts" in done.err
    token = done.out.strip()
    site.start("--workers", "1")
    assert site.word(token) == "VALID"


def test_revoke_without_sidecar_is_exit_3_unless_offline(site):
    first, second = site.create("a"), site.create("b")
    done = site.revoke(first, rc=3)
    assert "recorded" in done.err and len(lines(done.err)) == 1
    done = site.revoke(second, "--offline", rc=0)
    assert "recorded" in done.err
    site.start("--workers", "1")
    assert site.word(first) == site.word(second) == "REVOKED"


def test_offline_with_a_sidecar_still_means_in_force(served):
    token = served.create()
    served.revoke(token, "--offline")
    assert served.word(token) == "REVOKED"


def test_json_of_create_holds_the_token_once(served):
    done = served.cli("create", "x", "--json")
    answer = json.loads(done.out)
    assert served.word(answer["token"]) == "VALID"
    assert answer["id"] == answer["token"][:24] and answer["in_force"] is True
    assert answer["token"][24:] not in done.err


def test_out_file_of_one_token_is_private(served):
    out = served.root / "value"
    done = served.cli("create", "x", "--out", out)
    token = out.read_text().rstrip("\n")
    assert served.word(token) == "VALID"
    assert out.stat().st_mode & 0o777 == 0o600
    assert token not in done.out + done.err


def test_thousand_rows_of_a_table_all_verify(served):
    tokens = served.bulk(1000, columns="owner,name",
                         row='"team, {i}","the ""{i}"" one"')
    assert len(tokens) == 1000
    with served.client() as c:
        c.raw(b"".join(rig.encode("VERIFY", t) for t in tokens))
        got = [rig.verdict(c.read()) for _ in tokens]
    assert {v.word for v in got} == {"VALID"}
    assert [v.owner for v in got] == [f"team, {i}" for i in range(1000)]
    assert served.list()[7]["name"] == 'the "7" one'
    assert (served.root / "bulk.out").stat().st_mode & 0o777 == 0o600
    parts = {r["op"] for r in served.dump()}
    assert len(parts) == 1  # one commit


def test_flags_go_before_environment(site):
    other = site.root / "other"
    site.cli("create", "x", "--data", other)
    assert (other / "journal").exists() and not site.journal.exists()


def test_help_and_version_need_no_data(site):
    env = {**site.env, "JETON_DATA": "/nonexistent/x"}
    for args in (["help"], ["help", "create"], ["create", "--help"],
                 ["--version"], ["--help"]):
        assert site.cli(*args, env=env).out
    for flag in ("--help", "--version"):
        assert subprocess.run([rig.JETOND, flag], env=env,
                              capture_output=True).stdout
