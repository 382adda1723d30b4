"""Callers at the HTTP door, told apart by uid: the rules of test_peers.py.

The rules are those of the other door, and so are the counts and limits: a
user has one of each, whichever door it comes to.
"""
import json
import os
import re
import signal
import socket
import time

import pytest

import rig
from rig import other_secret
from test_http import Http, assert_refused, bearer, field, word
from test_peers import (BACKUP, CI, GROUP, RULES, WEB, callers, client,
                        configure, user)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root to become others")

HARMLESS = ("/livez", "/readyz", "/version", "/metrics")


def start(site, rules, *flags, workers=2):
    daemon = site.start("--workers", workers, "--config",
                        configure(site, rules), *flags)
    site.root.chmod(0o711)
    for door in (site.sock, site.http):
        door.chmod(0o666)
    return daemon


def http(site, uid, groups=()):
    with user(uid, groups):
        return Http(site)


def reload(site, rules):
    """They hold for whatever is asked after this."""
    daemon = site.daemons[-1]
    n = daemon.log().count("settings read")
    configure(site, rules)
    os.kill(daemon.pid, signal.SIGHUP)
    rig.until(lambda: daemon.log().count("settings read") > n, 5, "SIGHUP")


def post(c, path, value):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    a = c.ask(path=path, method="POST", body=body)
    return a, json.loads(a.body)


def asked_in_every_way(c, token):
    """The answers of all four routes that ask about a token."""
    return [c.ask(bearer(token)),
            post(c, "/v1/verify", {"token": token})[0],
            post(c, "/v1/verify/batch", {"tokens": [{"token": token}]})[0],
            post(c, "/introspect", f"token={token}".encode())[0]]


# ---- rights ----

def test_who_may_not_verify_hears_403_at_every_route(site):
    start(site, RULES)
    token = site.create("x", "--owner", "ann")
    for uid in (CI, BACKUP):  # by its rule, and by none
        with http(site, uid) as c:
            for value in (token, other_secret(token), ""):
                auth, *others = asked_in_every_way(c, value)
                assert auth.status == 403 and auth.body == b""
                assert word(auth) is None and b"ann" not in auth.raw
                for a in others:
                    assert a.status == 403
                    assert field(a, "Content-Type") == \
                        "application/problem+json"
                    assert json.loads(a.body)["code"] == "NOPERM"
                    assert token.encode() not in a.raw
            assert c.ask(path="/auth/nosuch").status == 403
            for path in HARMLESS:
                assert c.ask(path=path).status == 200, path
    with http(site, BACKUP, [GROUP]) as c:  # a supplementary group
        assert [a.status for a in asked_in_every_way(c, token)] == [200] * 4
    rows = callers(site)
    assert rows[CI]["admitted"] == rows[CI]["refused"] == 0
    assert rows[BACKUP]["admitted"] == 4


def test_caller_is_confined_to_its_environments(site):
    start(site, RULES + "[policy test]\nenv = test\n")
    live, test = site.create(), site.create("t", "--env", "test")
    with http(site, WEB) as c:
        assert word(c.ask(bearer(live))) == "VALID"
        assert_refused(c.ask(bearer(test)), "WRONG_ENVIRONMENT")
        assert_refused(c.ask(bearer(test), path="/auth/test"),
                       "WRONG_ENVIRONMENT")
        for body in ({"token": test}, {"token": test, "env": "test"}):
            a, o = post(c, "/v1/verify", body)
            assert (a.status, o["code"]) == (401, "WRONG_ENVIRONMENT")
        a, o = post(c, "/v1/verify", {"token": live, "env": "live"})
        assert (a.status, o["verdict"]) == (200, "VALID")
        a, o = post(c, "/v1/verify/batch",
                    {"tokens": [{"token": live}, {"token": test}]})
        assert [v["verdict"] for v in o["verdicts"]] == \
            ["VALID", "WRONG_ENVIRONMENT"]
        a, o = post(c, "/introspect", f"token={test}".encode())
        assert o == {"active": False}
    with http(site, 0) as c:
        assert [a.status for a in asked_in_every_way(c, test)] == [200] * 4
        assert word(c.ask(bearer(test), path="/auth/test")) == "VALID"


@pytest.mark.parametrize("see, owner, scopes", [
    ("none", "", set()), ("owner", "an-n", set()),
    ("scopes", "", {"orders:read", "billing:*"}),
    ("owner scopes", "an-n", {"orders:read", "billing:*"})])
def test_caller_is_shown_what_it_may_see(site, see, owner, scopes):
    start(site, f"[peer web]\nuid = {WEB}\nsee = {see}\n[peer all]\n",
          workers=1)
    token = site.create("x", "--owner", "an-n", "--scope",
                        "orders:read billing:*")
    with http(site, WEB) as c:
        answers = asked_in_every_way(c, token)
        auth, one, batch, active = answers
        assert [a.status for a in answers] == [200] * 4
        assert field(auth, "X-Jeton-Id") == token[:24]
        # empty, but there: or a proxy would pass on the client's own
        assert field(auth, "X-Jeton-Owner") == owner
        assert set(field(auth, "X-Jeton-Scopes").split()) == scopes
        for o in (json.loads(one.body), *json.loads(batch.body)["verdicts"]):
            assert o["owner"] == owner and set(o["scopes"]) == scopes
        o = json.loads(active.body)
        assert o["client_id"] == owner and set(o["scope"].split()) == scopes
        for a in answers:
            # with a dash: no id has one
            assert owner or b"an-n" not in a.raw
            assert scopes or b"orders" not in a.raw
        # what is hidden still decides
        a, o = post(c, "/v1/verify", {"token": token, "scopes": ["other"]})
        assert o["code"] == "INSUFFICIENT_SCOPE"
        assert o["owner"] == owner and set(o["scopes"]) == scopes
    with http(site, CI) as c:  # the rule is that caller's alone
        assert field(c.ask(bearer(token)), "X-Jeton-Owner") == "an-n"


def test_rules_hold_for_the_next_request_of_a_kept_connection(site):
    start(site, RULES)
    token = site.create("x", "--owner", "ann")
    without = RULES.replace("verify = live", "verify = no")
    seeing = RULES.replace("see = scopes", "see = owner")
    moved = "[peer another]\nuid = 1\nverify = no\n" + RULES
    with http(site, WEB) as c:
        for _ in range(4):
            reload(site, without)
            assert c.ask(bearer(token)).status == 403
            reload(site, seeing)
            assert field(c.ask(bearer(token)), "X-Jeton-Owner") == "ann"
            reload(site, moved)
            assert field(c.ask(bearer(token)), "X-Jeton-Owner") == ""


def test_policies_hold_for_the_next_request_of_a_kept_connection(site):
    start(site, "[peer all]\n")
    token = site.create("x", "--scope", "a")
    wants = "[policy orders]\nscope = {}\n[peer all]\n"
    with http(site, WEB) as c:
        def orders():
            return c.ask(bearer(token), path="/auth/orders").status
        assert orders() == 404
        for _ in range(4):
            reload(site, wants.format("b"))
            assert orders() == 403
            reload(site, wants.format("a"))
            assert orders() == 200
            reload(site, "[peer all]\n")
            assert orders() == 404


def test_rules_of_a_body_are_those_of_when_it_has_come(site):
    start(site, RULES)
    token = site.create()
    body = json.dumps({"token": token}).encode()
    with http(site, WEB) as c:
        c.raw(b"POST /v1/verify HTTP/1.1\r\nHost: x\r\n"
              b"Content-Length: %d\r\n\r\n" % len(body))
        time.sleep(0.05)
        reload(site, RULES.replace("verify = live", "verify = no"))
        c.raw(body)
        assert c.read().status == 403


# ---- connections ----

def test_connections_of_a_user_are_counted_over_both_doors(site):
    start(site, RULES)
    token = site.create()
    with client(site, WEB) as r, http(site, WEB) as a, http(site, WEB) as b:
        assert r.verify(token).word == "VALID"
        assert [c.ask(bearer(token)).status for c in (a, b)] == [200, 200]
        assert callers(site)[WEB]["connections"] == 3
        with client(site, WEB) as c:
            assert c.drain().startswith(b"-BUSY too many connections")
        with http(site, WEB) as c:
            refused = c.ask(bearer(token))
            assert refused.status == 503 and refused.body == b""
            assert field(refused, "Retry-After") == "1"
            assert c.is_closed()
        with http(site, WEB) as c:
            refused, o = post(c, "/v1/verify", {"token": token})
            assert (refused.status, o["code"]) == (503, "BUSY")
            assert field(refused, "Retry-After") == "1" and c.is_closed()
        with http(site, BACKUP, [GROUP]) as c:  # others are not
            assert c.ask(bearer(token)).status == 200
        row = callers(site)[WEB]
        assert (row["connections"], row["busy"]) == (3, 3)
        assert [c.ask(bearer(token)).status for c in (a, b)] == [200, 200]
        a.sock.close()
        rig.until(lambda: callers(site)[WEB]["connections"] == 2, 5, "it left")
        with client(site, WEB) as c:  # the place is the other door's now
            assert c.verify(token).word == "VALID"
            with http(site, WEB) as d:
                assert d.ask(bearer(token)).status == 503
    rig.until(lambda: callers(site)[WEB]["connections"] == 0, 5, "all left")
    with http(site, WEB) as c:
        assert c.ask(bearer(token)).status == 200


def test_killed_worker_holds_no_connections(site):
    daemon = start(site, RULES)
    token = site.create()
    kept = [http(site, WEB) for _ in range(3)]
    assert [c.ask(bearer(token)).status for c in kept] == [200] * 3
    time.sleep(1.1)
    for pid in daemon.worker_pids(("http",)):
        os.kill(pid, signal.SIGKILL)
    rig.until(lambda: callers(site)[WEB]["connections"] == 0, 5, "buried")
    daemon.wait()
    again = [http(site, WEB) for _ in range(3)]
    assert [c.ask(bearer(token)).status for c in again] == [200] * 3
    for c in kept + again:
        c.sock.close()


# ---- refusals ----

LIMITED = f"""
[peer ci]
uid = {CI}
refusals = 5/s

[peer all]
"""


def spend(c, bad):
    """Refusals until it is told to wait; how many there were."""
    for n in range(100):
        a = c.ask(bearer(bad))
        if a.status == 503:
            return n
        assert word(a) == "UNKNOWN"
    raise AssertionError("never told to wait")


def verdicts(site):
    return sum(site.status()["verdicts"].values())


def test_refusals_of_a_user_are_limited_and_come_back(site):
    start(site, LIMITED)
    token = site.create()
    with http(site, CI) as c, http(site, WEB) as other:
        begun = time.monotonic()
        n = spend(c, other_secret(token))
        assert 5 <= n <= 5 + 5 * (time.monotonic() - begun) + 1
        assert other.ask(bearer(token)).status == 200
        assert word(other.ask(bearer(other_secret(token)))) == "UNKNOWN"
        rig.until(lambda: c.ask(bearer(token)).status == 200, 5, "refill")
        row = callers(site)[CI]
        assert (row["admitted"], row["refused"]) == (1, n) and row["busy"]
        time.sleep(1.2)
        assert spend(c, other_secret(token)) >= 5, "all of them again"


def test_who_has_had_its_refusals_is_not_looked_up(site):
    start(site, LIMITED)
    token = site.create()
    many = {"tokens": [{"token": other_secret(token)}] * 10}
    with http(site, CI) as c, client(site, CI) as r:
        a, o = post(c, "/v1/verify/batch", many)
        assert (a.status, len(o["verdicts"])) == (200, 10)
        before = verdicts(site)
        auth, *others = asked_in_every_way(c, token)  # within a second
        for a in (auth, *others):
            assert a.status == 503 and field(a, "Retry-After") == "1"
            assert word(a) is None
        assert auth.body == b""
        assert [json.loads(a.body)["code"] for a in others] == ["BUSY"] * 3
        assert r("VERIFY", token).startswith("BUSY ")  # nor at that door
        assert verdicts(site) == before
        assert callers(site)[CI] == {"uid": CI, "connections": 2,
                                     "admitted": 0, "refused": 10, "busy": 5}
        assert [c.ask(path=p).status for p in HARMLESS] == [200] * 4


def test_refusals_at_the_other_door_are_the_same_users(site):
    start(site, LIMITED)
    token = site.create()
    with http(site, CI) as c, client(site, CI) as r:
        r("MVERIFY", 10, *[other_secret(token)] * 10)
        assert c.ask(bearer(token)).status == 503


# ---- counts ----

def test_verifications_are_counted_for_their_user(site):
    start(site, "", workers=1)
    token = site.create()
    with http(site, WEB) as c, http(site, CI) as d, client(site, WEB) as r:
        for _ in range(5):
            c.ask(bearer(token))
        c.ask()  # MISSING
        c.ask(bearer(token), bearer(token))  # decided without a look
        post(c, "/v1/verify", {"token": "x"})
        post(c, "/v1/verify/batch", {"tokens": [{"token": token}] * 3 +
                                     [{"token": "y"}]})
        post(c, "/introspect", f"token={token}".encode())
        post(c, "/v1/verify", {"no": 1})  # no verification
        c.ask(path="/livez")
        r.verify(token)
        d.ask(bearer(token))
        listed = {x["uid"]: x for x in json.loads(
            site.cli("status", "--json").out)["callers"]}
        assert listed[WEB] == {"uid": WEB, "connections": 2, "admitted": 10,
                               "refused": 4, "busy": 0}
        assert listed[CI] == {"uid": CI, "connections": 1, "admitted": 1,
                              "refused": 0, "busy": 0}
        assert f"uid {WEB}, connections 2 now, 10 admitted" in \
            site.cli("status").out
    rig.until(lambda: callers(site)[WEB]["connections"] == 0, 5, "left")


def test_user_of_an_old_value_is_named(site):
    start(site, "", workers=1)
    old = site.create()
    new = site.cli("rotate", old[:24], "--overlap", "1h").out.strip()

    def status():
        return json.loads(site.cli("rotate", "--status", old[:24],
                                   "--json").out)
    with http(site, WEB) as c:
        c.ask(bearer(new))
        assert "old_value_used_by" not in status()
        c.ask(bearer(old))
        assert status()["old_value_used_by"] == WEB
    for uid, path, body in ((CI, "/v1/verify", {"token": old}),
                            (BACKUP, "/v1/verify/batch",
                             {"tokens": [{"token": old}]}),
                            (0, "/introspect", f"token={old}".encode())):
        time.sleep(1.1)  # who comes later in the same second is not told
        with http(site, uid) as c:
            assert post(c, path, body)[0].status == 200
        assert status()["old_value_used_by"] == uid


def test_refusals_are_logged_with_their_user(site):
    daemon = start(site, "", "--log-refusals", "1", workers=1)
    token = site.create()
    site.revoke(token)
    with http(site, WEB) as c:
        assert word(c.ask(bearer(token))) == "REVOKED"
        a, o = post(c, "/v1/verify/batch", {"tokens": [
            {"token": other_secret(token)}, {"token": "hunter2-hunter2"}]})
        assert a.status == 200
        c.ask(bearer("a"), bearer("b"))
    at = token[:24]
    for line in (f"refused REVOKED: {at} for uid {WEB}",
                 f"refused UNKNOWN: {at} for uid {WEB}"):
        rig.until(lambda: re.search(line + "$", daemon.log(), re.M), 5, line)
    rig.until(lambda: "refused MALFORMED: " in daemon.log(), 5, "MALFORMED")
    assert "hunter2" not in daemon.log()
    assert token[24:34] not in daemon.log()


# ---- who has no uid ----

class Loopback(Http):
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 20)
        self.buf = b""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_caller_without_a_uid_has_only_the_rule_for_anybody(site):
    port = free_port()
    start(site, RULES, "--http-listen", f"127.0.0.1:{port}")
    token = site.create("x", "--owner", "ann")
    with Loopback(port) as c, http(site, 0) as root:
        # root by its process, nobody by its socket
        assert root.ask(bearer(token)).status == 200
        assert [a.status for a in asked_in_every_way(c, token)] == [403] * 4
        assert c.ask(path="/livez").status == 200
        reload(site, RULES + "[peer all]\nsee = none\nrefusals = 5/s\n")
        a = c.ask(bearer(token))
        assert a.status == 200 and field(a, "X-Jeton-Owner") == ""
        assert field(root.ask(bearer(token)), "X-Jeton-Owner") == "ann"
        spend(c, other_secret(token))
        assert root.ask(bearer(token)).status == 200
        row = callers(site)[None]
        assert row["admitted"] == 1 and row["refused"] >= 5
        reload(site, f"[peer g]\ngid = 0\n[peer root]\nuid = 0\n"
               f"[peer none]\nuid = {(1 << 32) - 2}\n")
        assert c.ask(bearer(token)).status == 403
