"""The page of an API token manager, line by line: sixteen rows, one walk.

A row is a function: it does what the row asks for on a running site, as a user
would, and returns a sentence about what was seen.

    /usr/bin/python3 tests/e2e/test_sixteen.py     the walk alone, a line a row
"""
import json
import re
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import rig
from rig import lines

DAY_S = 86400


def one(done):
    return json.loads(done.out)


def show(site, token):
    return one(site.cli("show", token[:24], "--json"))


def until_date(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def http(site, path, *fields):
    """Status line, fields and body of what the HTTP door answers to curl."""
    p = subprocess.run(["curl", "-sS", "-i", "--unix-socket", site.http,
                        "-H", "@-", f"http://localhost{path}"],
                       input="".join(f + "\n" for f in fields),
                       capture_output=True, text=True, check=True)
    return p.stdout


def http_as(site, token, path="/auth/default"):
    return http(site, path, f"Authorization: Bearer {token}")


def s1(site):
    """create a token with a descriptive name"""
    for name in ("Production API", "Analytics Service", "x", "y" * 64,
                 "é" * 32):
        assert show(site, site.create(name))["name"] == name
    for name in ("", "y" * 65, "two\nlines", "red\x1b[31m", "\u202eabc"):
        assert site.cli("create", name, rc=2).out == ""
    return "1 to 64 bytes of UTF-8; control characters are refused"


def s2(site):
    """expiry: 30 days, 90 days, 6 months, 1 year, none (4 years)"""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    for choice, least, most in (("30d", 30, 30), ("90d", 90, 90),
                                ("6m", 181, 184), ("1y", 365, 366),
                                ("never", 1461, 1461), ("36h", 1, 2)):
        expires = until_date(show(site, site.create("x", "--expires", choice))
                             ["expires"])
        assert timedelta(days=least) <= expires - now < \
            timedelta(days=most, seconds=60), choice
    date = (now + timedelta(days=500)).strftime("%Y-%m-%d")
    site.create("dated", "--expires", date)
    assert lines(site.cli("list").out)[-1].split("\t")[2] == date
    for choice in ("5y", "1462d", "2001-01-01", "soon"):
        site.cli("create", "x", "--expires", choice, rc=2)
    return "the five by name, any span or date up to 4 years, nothing beyond"


def s3(site):
    """a token lives in the environment, never in code"""
    p = subprocess.run(
        ["sh", "-c", 'TOKEN=$("$0" create "for the shell" 2>/dev/null) && '
         'printf %s "$TOKEN" | "$0" verify --json', rig.JETON],
        env=site.env, capture_output=True, text=True, check=True)
    assert json.loads(p.stdout)["verdict"] == "VALID"
    done = site.cli("create", "once")
    token = done.out[:-1]
    assert len(token) == 64 and token[24:] not in done.err
    done = site.cli("verify", token, rc=2)  # not even as an argument
    assert "exposed" in done.err and token[24:34] not in done.err
    rules = site.cli("scan-rules", "gitleaks").out
    rule = re.search(r"regex = '''(.*)'''", rules)[1]
    assert re.search(rule.replace(r"\z", r"\Z"), f'key = "{token}"')
    for path in (*site.data.iterdir(), *site.root.glob("log*")):
        assert token[24:].encode() not in path.read_bytes(), path
    return "alone on stdout, once; stored nowhere; scanners know its shape"


def s4(site):
    """rotate regularly"""
    old = site.create("rotated")
    new = site.cli("rotate", old[:24], "--overlap", "1h").out.strip()
    assert old[:24] == new[:24] and old != new
    assert site.word(new) == "VALID"
    assert site.verify(old).notes == "OLD_VALUE" and site.word(old) == "VALID"
    status = one(site.cli("rotate", "--status", old[:24], "--json"))
    assert status["rotation"] == "overlaps"
    assert until_date(status["old_value_used"])  # somebody still has it
    site.cli("rotate", old[:24], "--finish")
    assert (site.word(old), site.word(new)) == ("REVOKED", "VALID")
    return "both values work in the overlap, and one sees who lags behind"


def s5(site):
    """separate tokens per application and environment"""
    prod = site.create("web", "--owner", "web", "--env", "prod")
    test = site.create("web", "--owner", "web", "--env", "test")
    assert site.verify(prod, "ENV", "prod")[0::8][:2] == ("VALID", "web")
    assert site.word(test, "ENV", "prod") == "WRONG_ENVIRONMENT"
    assert prod[:8] == "jt_prod_" and test[:8] == "jt_test_"
    rows = lines(site.cli("list", "--owner", "web", "--env", "test").out)
    assert len(rows) == 1 and test[:24] in rows[0]
    return "the environment stands in the token, and the verifier insists"


def s6(site):
    """revoke unused or compromised tokens immediately"""
    used, idle = (site.create(x, "--owner", "s6") for x in ("used", "idle"))
    site.word(used)
    # nobody waits a day here; test_views.py has the rest
    assert site.cli("unused", "--days", "1", "--owner", "s6").out == ""
    rows = lines(site.cli("unused", "--days", "0", "--owner", "s6", "--json",
                          rc=1).out)
    assert {json.loads(x)["id"] for x in rows} == {used[:24], idle[:24]}
    (site.root / "build.log").write_text(f"export TOKEN={idle}\n")
    site.cli("revoke", "--leaked", site.root / "build.log", "--reason",
             "in a build log")
    assert site.word(idle) == "REVOKED" and site.word(used) == "VALID"
    tokens = [site.create(f"t{i}", "--owner", "gone") for i in range(3)]
    site.cli("revoke", "--owner", "gone", "--yes")
    assert {site.word(t) for t in tokens} == {"REVOKED"}
    return "by id, by owner, or whatever stands in a log"


def s7(site):
    """monitor token usage"""
    token = site.create("watched", "--rate", "2/h")
    words = [site.word(token) for _ in range(5)]
    assert words == ["VALID"] * 2 + ["RATE_LIMITED"] * 3
    shown = show(site, token)
    assert (shown["uses"], shown["refusals"]) == (2, 3)
    assert abs(until_date(shown["last_used"]).timestamp() - time.time()) < 60
    with site.client() as c:
        assert c.stats()
    assert site.status()["verdicts"]["RATE_LIMITED"] >= 3
    assert one(site.cli("top", "--json"))["verdicts"]["VALID"]["count"] > 0
    assert 'jeton_verifications_total{' in http(site, "/metrics")
    return "uses, refusals and last use of each; counters of all, for scrapers"


def s8(site):
    """Authorization header; from JavaScript, Python and cURL"""
    token = site.create("for a client")
    assert http_as(site, token).startswith("HTTP/1.1 200")
    assert http_as(site, token[:-1]).startswith("HTTP/1.1 401")
    assert "WWW-Authenticate: Bearer" in http(site, "/auth/default")
    for name in ("curl.sh", "verify_http.py", "verify_redis.py",
                 "verify_http.mjs", "verify_node_redis.mjs"):
        command = rig.example(name)
        assert rig.run_example(site, command, token).rc == 0, name
        assert rig.run_example(site, command, token[:-1]).rc == 1, name
    shell = subprocess.run(["redis-cli", "-s", site.sock, "-x", "VERIFY"],
                           input=token.encode(), capture_output=True)
    assert shell.stdout.startswith(b"VALID\n")
    done = site.cli("verify", "--json", input="", rc=1)
    assert "Authorization: Bearer" in one(done)["advice"]
    return "over either door, by what stands in tests/examples"


def s9(site):
    """list: name, masked value, expiry date, status"""
    token = site.create("Listed", "--expires", "30d")
    [row] = [x.split("\t") for x in lines(site.cli("list").out)
             if token[:24] in x]
    name, masked, date, status = row
    assert (name, status) == ("Listed", "Active")
    assert masked[:24] == token[:24] and set(masked[24:]) == {"*"}
    assert date == (datetime.now(timezone.utc) +
                    timedelta(days=30)).strftime("%Y-%m-%d")
    assert token[24:] not in site.cli("list", "--json").out
    gone = site.create("Soon over", "--expires", "1s")
    rig.until(lambda: site.word(gone) == "EXPIRED", 5, "expiry")
    assert any(x.endswith("\tExpired") and gone[:24] in x
               for x in lines(site.cli("list").out))
    return "four columns; the first 24 characters hold no secret"


def s10(site):
    """copying token values"""
    phrase = site.root / "phrase"
    phrase.write_text("correct horse battery staple\n")
    phrase.chmod(0o600)
    site.cli("vault", "init", "--passphrase-file", phrase)
    plain = site.create("shown once")
    kept = site.create("kept", "--recoverable")
    copied = site.cli("copy", kept[:24], "--passphrase-file", phrase).out
    assert copied == kept + "\n"
    assert site.cli("copy", plain[:24], "--passphrase-file", phrase,
                    rc=None).rc == 1
    (site.root / "wrong").write_text("wrong horse battery staple\n")
    (site.root / "wrong").chmod(0o600)
    assert site.cli("copy", kept[:24], "--passphrase-file",
                    site.root / "wrong", rc=None).rc not in (0, 3)
    assert "copy" in [r["type"] for r in site.dump()]
    return "shown once; from the vault with its passphrase, and on record"


def s11(site):
    """revoked tokens stop working immediately"""
    tokens = site.bulk(20, name="eleven")
    gone, wrong, asked, stop = {}, [], [0], []

    def ask():
        with site.client() as c:
            while not stop:
                for t in tokens:
                    was = t in gone  # before the request is sent
                    if c.verify(t).word == "VALID" and was:
                        wrong.append(t)
                    asked[0] += was
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for t in threads:
        t.start()
    for t in tokens:
        site.revoke(t)
        gone[t] = True
    rig.until(lambda: asked[0] > 1000, 20, "asked often enough")
    stop.append(True)
    for t in threads:
        t.join(20)
    assert not wrong
    return f"none of {asked[0]} verifications after 20 revokes was accepted"


def s12(site):
    """check expiration dates, be reminded before"""
    token = site.create("ends soon", "--expires", "5d", "--owner", "s12")
    late = site.create("ends late", "--expires", "1y", "--owner", "s12")
    done = site.cli("expiring", "--within", "30d", "--owner", "s12", "--json",
                    rc=1)
    assert [json.loads(x)["id"] for x in lines(done.out)] == [token[:24]]
    v = site.verify(token)
    assert v.notes == "EXPIRING" and 0 < v.expires_in_s <= 5 * DAY_S
    assert site.verify(late).notes == ""
    events = [json.loads(x) for x in lines(site.cli("notify", "run").out)]
    assert token[:24] in {e["id"] for e in events}
    again = [json.loads(x) for x in lines(site.cli("notify", "run").out)]
    assert token[:24] not in {e["id"] for e in again}
    assert 'jeton_tokens_expiring{within="30d"}' in http(site, "/metrics")
    return "asked for, told in every reply, said once by a timer, and measured"


def s13(site):
    """renewal"""
    tokens = [site.create(f"r{i}", "--expires", "5d", "--owner", "s13")
              for i in range(3)]
    site.cli("renew", tokens[0][:24], "--expires", "90d")
    site.cli("renew", "--owner", "s13", "--expiring-within", "30d",
             "--expires", "1y", "--yes")
    left = [site.verify(t).expires_in_s // DAY_S for t in tokens]
    assert 88 <= left[0] <= 90 and {364, 365, 366} >= set(left[1:])
    site.cli("renew", tokens[1][:24], "--expires", "30d", rc=1)
    return "in place, one or many, never shorter by accident"


def s14(site):
    """why a request is refused"""
    token = site.create("asked about", "--scope", "orders:read", "--env",
                        "prod")
    over = site.create("over", "--expires", "1s")
    dead, held = site.create("dead"), site.create("held")
    site.revoke(dead)
    site.cli("suspend", held[:24])
    rig.until(lambda: site.word(over) == "EXPIRED", 5, "expiry")
    for value, options, word, status in (
            ("", (), "MISSING", 401), (over, (), "EXPIRED", 401),
            (token + " ", (), "WHITESPACE", 401),
            ("\t" + token + "\n", (), "WHITESPACE", 401),
            (token[:-5], (), "MALFORMED", 401),
            ("Bearer " + token, (), "MALFORMED", 401),
            (rig.mistyped(token, 40), (), "MISTYPED", 401),
            (rig.other_secret(token), (), "UNKNOWN", 401),
            (dead, (), "REVOKED", 401), (held, (), "SUSPENDED", 401),
            (token, ("ENV", "test"), "WRONG_ENVIRONMENT", 401),
            (token, ("SCOPE", "orders:write"), "INSUFFICIENT_SCOPE", 403),
            (token, ("SCOPE", "orders:read"), "VALID", 200)):
        v = site.verify(value, *options)
        assert (v.word, v.status) == (word, status)
        if word != "VALID" and not options:
            advice = one(site.cli("verify", "--json", input=value, rc=None))
            assert word == "WHITESPACE" or len(advice["advice"]) > 20, word
    for value, word, error in (
            ("", "MISSING", ""), ("x" * 64, "MALFORMED", "invalid_token"),
            (dead, "REVOKED", "invalid_token")):
        answer = http_as(site, value)
        challenge = 'WWW-Authenticate: Bearer realm="jeton"' + \
            (f', error="{error}"' if error else "")
        assert answer.startswith("HTTP/1.1 401")
        assert {f"X-Jeton-Verdict: {word}", challenge} <= set(lines(answer))
    return "each cause has its word, its status, its challenge and an advice"


def s15(site):
    """rate limits that clients can live with"""
    token = site.create("limited", "--rate", "5/s", "--burst", "3", "--quota",
                        "100/day")
    with site.client() as c:
        got = [c.verify(token) for _ in range(4)]
        assert [v.word for v in got] == ["VALID"] * 3 + ["RATE_LIMITED"]
        assert [(v.limit, v.remaining) for v in got[:3]] == [(3, 2), (3, 1),
                                                             (3, 0)]
        last = got[-1]
        assert last.status == 429 and 0 < last.retry_after_ms <= 200
        assert 0 < last.reset_ms <= 600
        time.sleep(last.retry_after_ms / 1000)
        assert c.verify(token).word == "VALID"
        assert c.verify(token, "COST", 4).notes == "NEVER"
    why = one(site.cli("why", token[:24], "--cost", "4", "--json", rc=1))
    assert why["verdict"] == "RATE_LIMITED" and len(why["advice"]) > 20
    hourly = site.create("hourly", "--rate", "1/h")
    admitted, refused = (http_as(site, hourly) for _ in range(2))
    assert admitted.startswith("HTTP/1.1 200")
    assert 'RateLimit-Policy: "default";q=1;w=3600' in lines(admitted)
    assert 'RateLimit: "default";r=0;t=3600' in lines(admitted)
    assert refused.startswith("HTTP/1.1 429")
    assert 3590 < int(re.search("^Retry-After: (.*)", refused, re.M)[1]) <= 3600
    return "limit, remaining, reset and retry-after in every reply, and true"


def s16(site):
    """troubleshooting for people"""
    token = site.create("asked why", "--scope", "a")
    assert one(site.cli("why", token[:24], "--json"))["verdict"] == "VALID"
    site.cli("suspend", token[:24], "--reason", "invoice overdue")
    why = one(site.cli("why", token[:24], "--scope", "b", "--json", rc=1))
    assert why["verdict"] == "SUSPENDED" and "resume" in why["advice"]
    assert [s["step"] for s in why["steps"] if not s["ok"]] == \
        ["SUSPENDED", "INSUFFICIENT_SCOPE"]
    assert "invoice overdue" in site.cli("history", token[:24]).out
    assert "invoice overdue" in site.cli("audit", "--id", token[:24]).out
    for args in (["show", "x"], ["plan", "rm", "nosuch"], ["frob"],
                 ["renew", token[:24]], ["create"]):
        done = site.cli(*args, rc=None)
        assert done.rc in (1, 2)
        assert re.search(r"`jeton|--[a-z]", done.err), (args, done.err)
    return "every step of the decision, and what to do next"


ROWS = [s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16]


# ---- the walk ----

def walk(site, say):
    for row in ROWS:
        seen = row(site)
        say(f"{row.__name__.upper():>4}  {row.__doc__}: {seen}")
    assert site.status()["health"] == "ok"
    site.check()


def test_the_sixteen_rows(site, record_property):
    assert [r.__name__ for r in ROWS] == [f"s{i}" for i in range(1, 17)]
    site.start("--workers", "2")
    said = []
    walk(site, said.append)
    for line in said:
        record_property("said", line)
    assert len(said) == 16


if __name__ == "__main__":
    with rig.a_site() as a:
        a.start("--workers", "2")
        walk(a, lambda line: print(line, flush=True))
    sys.exit(0)
