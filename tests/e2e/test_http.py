"""The HTTP door, byte by byte: what proxies send, and what strangers do."""
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import namedtuple

import pytest

import rig
from rig import mistyped, other_secret

Answer = namedtuple("Answer", "status fields body raw")
IDENTITY = ["X-Jeton-Id", "X-Jeton-Owner", "X-Jeton-Scopes", "X-Jeton-Env",
            "X-Jeton-Expires-In"]


class Http:
    """One connection. Nothing is sent that the test did not write."""

    def __init__(self, site, timeout=20.0):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(site.run / "jeton-http.sock"))
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)

    def _more(self):
        got = self.sock.recv(1 << 18)
        if not got:
            raise rig.Closed
        self.buf += got

    def read(self, head=False):
        while (end := self.buf.find(b"\r\n\r\n")) < 0:
            self._more()
        lines = self.buf[:end].decode().split("\r\n")
        fields = [tuple(x.split(": ", 1)) for x in lines[1:]]
        n = 0 if head else int(dict(fields).get("Content-Length", 0))
        while len(self.buf) < end + 4 + n:
            self._more()
        raw, self.buf = self.buf[:end + 4 + n], self.buf[end + 4 + n:]
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        return Answer(int(status), fields, raw[end + 4:], raw)

    def ask(self, *fields, path="/auth/default", method="GET", body=None):
        if body is not None:
            fields = (*fields, f"Content-Length: {len(body)}")
        self.raw(request(*fields, path=path, method=method) + (body or b""))
        return self.read(head=method == "HEAD")

    def is_closed(self):
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_open(self):
        return self.ask().status == 401


def request(*fields, path="/auth/default", method="GET", version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode()


def bearer(token):
    return f"Authorization: Bearer {token}"


def field(answer, name):
    """Its value; None: there is none. Twice is a mistake."""
    found = [v for n, v in answer.fields if n.lower() == name.lower()]
    assert len(found) < 2, (name, answer.fields)
    return found[0].strip() if found else None


def word(answer):
    return field(answer, "X-Jeton-Verdict")


def ask(site, *fields, **kw):
    with Http(site) as c:
        return c.ask(*fields, **kw)


def post(site, path, value, *fields):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ask(site, *fields, path=path, method="POST", body=body)


def commands(site):
    with site.client() as c:
        return c.stats()["commands"]


@pytest.fixture(scope="module")
def token(shared):
    return shared.create("a token", "--owner", "team", "--env", "prod",
                         "--scope", "orders:read billing:*")


@pytest.fixture(autouse=True)
def nobody_died(request):
    """Whatever a test did: the same processes are there and serve."""
    if "shared" not in request.fixturenames:
        yield
        return
    site = request.getfixturevalue("shared")
    token = request.getfixturevalue("token")
    before = site.processes()
    yield
    assert site.processes() == before
    assert ask(site, bearer(token)).status == 200


# ---- every word, its status and its fields ----

def assert_refused(a, name, challenge='error="invalid_token"'):
    assert word(a) == name
    assert a.status == rig.STATUS.get(name, 401)
    assert a.body == b"" and field(a, "Content-Length") == "0"
    if a.status == 401:
        assert field(a, "WWW-Authenticate").startswith(
            'Bearer realm="jeton"')
        assert challenge in field(a, "WWW-Authenticate")
    for name in IDENTITY:
        assert field(a, name) is None


def test_valid_tells_who_it_is_and_has_no_body(shared, token):
    a = ask(shared, bearer(token))
    assert a.status == 200 and a.body == b""
    assert field(a, "Content-Length") == "0"
    assert word(a) == "VALID"
    assert field(a, "X-Jeton-Id") == token[:24]
    assert field(a, "X-Jeton-Owner") == "team"
    assert set(field(a, "X-Jeton-Scopes").split()) == \
        {"orders:read", "billing:*"}
    assert field(a, "X-Jeton-Env") == "prod"
    assert 89 * 86400 < int(field(a, "X-Jeton-Expires-In")) <= 90 * 86400
    assert field(a, "RateLimit") is None
    assert field(a, "X-RateLimit-Limit") is None
    assert field(a, "Connection") is None


def test_valid_sends_fields_that_are_empty_too(shared, token):
    t = shared.create("nobody's")
    a = ask(shared, bearer(t))
    assert a.status == 200
    assert [field(a, n) for n in IDENTITY[:4]] == [t[:24], "", "", "live"]
    for name in IDENTITY:
        assert f"\r\n{name}:".encode() in a.raw


def test_missing_has_a_challenge_without_an_error(shared, token):
    for fields in ([], ["Authorization: Bearer"], ["Authorization:"],
                   ["Authorization: Digest x"], [f"X-API-Key: {token}"],
                   [f"Cookie: token={token}"]):
        a = ask(shared, *fields)
        assert_refused(a, "MISSING", "")
        assert field(a, "WWW-Authenticate") == 'Bearer realm="jeton"'


def test_words_of_values_that_are_none(shared, token):
    for value, name in (
            (f" {token}", "WHITESPACE"), (f"{token} ", "WHITESPACE"),
            (token[:-1], "MALFORMED"), (token + "x", "MALFORMED"),
            (f"{token} x", "MALFORMED"), (f'"{token}"', "MALFORMED"),
            ("é" * 32, "MALFORMED"), ("x" * 4000, "MALFORMED"),
            (mistyped(token, 40), "MISTYPED"),
            (other_secret(token), "UNKNOWN")):
        assert_refused(ask(shared, bearer(value)), name)


def test_revoked_suspended_expired(shared, token):
    revoked, suspended = shared.create("r"), shared.create("s")
    expired = shared.create("e", "--expires", "1s")
    shared.revoke(revoked)
    shared.cli("suspend", suspended[:24])
    time.sleep(2.1)
    for t, name in ((revoked, "REVOKED"), (suspended, "SUSPENDED"),
                    (expired, "EXPIRED")):
        assert_refused(ask(shared, bearer(t)), name)


def test_wrong_environment(site):
    site.start("--workers", "1", "--env", "live")
    t = site.create("x", "--env", "prod")
    assert_refused(ask(site, bearer(t)), "WRONG_ENVIRONMENT")


def test_rate_limited_says_when_to_come_back(shared, token):
    t = shared.create("x", "--rate", "2/min")
    with Http(shared) as c:
        first, second, third = (c.ask(bearer(t)) for _ in range(3))
    assert (first.status, second.status) == (200, 200)
    assert field(first, "RateLimit-Policy") == '"default";q=2;w=60'
    assert field(first, "RateLimit") == '"default";r=1;t=30'
    assert_refused(third, "RATE_LIMITED")
    assert third.status == 429
    assert field(third, "RateLimit").startswith('"default";r=0;t=')
    assert 28 <= int(field(third, "Retry-After")) <= 30
    assert field(third, "WWW-Authenticate") is None


def test_quota_exceeded_and_both_limits_by_name(shared, token):
    t = shared.create("x", "--rate", "10/s", "--quota", "1/day")
    first, second = ask(shared, bearer(t)), ask(shared, bearer(t))
    assert first.status == 200
    assert field(first, "RateLimit-Policy") == \
        '"rate";q=10;w=1, "quota";q=1;w=86400'
    assert field(first, "RateLimit").startswith(
        '"rate";r=9;t=1, "quota";r=0;t=')
    assert_refused(second, "QUOTA_EXCEEDED")
    assert int(field(second, "Retry-After")) <= 86400


def test_loading_is_503_and_ready_says_so(site):
    values = site.bulk(20000 if rig.ASAN else 100000)
    site.start("--workers", "1", wait=False)
    seen = set()

    def is_listening():
        try:
            return ask(site, path="/livez").status == 200
        except OSError:
            return False  # there is none yet, or it is bound and no more
    rig.until(is_listening, 10 * rig.PATIENCE, "a door", step_s=0.0005)

    def is_valid():
        ready = ask(site, path="/readyz")
        twice = ask(site, bearer(values[0]), bearer("x"))
        a = ask(site, bearer(values[0]))
        seen.add((ready.status, word(twice), word(a)))
        if a.status == 503:
            assert_refused(a, "LOADING")
            assert field(a, "Retry-After") == "1"
            assert word(twice) == "LOADING" and ready.status == 503
        return a.status == 200
    rig.until(is_valid, 20 * rig.PATIENCE, "200", step_s=0)
    assert (503, "LOADING", "LOADING") in seen, "never saw it load"
    is_valid()
    assert (200, "MALFORMED", "VALID") in seen
    assert ask(site, path="/readyz").body == b"ready\n"


def test_verdicts_are_counted_as_those_of_the_other_door(shared, token):
    with shared.client() as c:
        before = c.stats()
        for _ in range(3):
            ask(shared, bearer(token))
        ask(shared)
        after = c.stats()
    assert after["verdict_VALID"] - before["verdict_VALID"] == 3
    assert after["verdict_MISSING"] - before["verdict_MISSING"] == 1
    assert after["memo_hits"] > before["memo_hits"]


def test_use_is_counted_for_the_token(shared, token):
    t = shared.create("x", "--rate", "3/h")
    assert shared.word(t) == "VALID"
    assert ask(shared, bearer(t)).status == 200
    assert shared.verify(t, "COST", 0).remaining == 1


# ---- the request is the client's, but for the policy ----

@pytest.mark.parametrize("path", [
    "/auth/default/", "/auth/default/a/b?q=1", "/auth/default?" + "a&" * 1500,
    "/auth/default/auth/other", "/auth/default/%00%zz", "/auth/default?"])
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "PROPFIND", "X"])
def test_any_method_and_suffix(shared, token, path, method):
    a = ask(shared, bearer(token), path=path, method=method)
    assert a.status == 200 and field(a, "Connection") is None


@pytest.mark.parametrize("path", [
    "/auth/other", "/auth/", "/auth//default", "/auth/default%2f",
    "/auth/Default", "/auth/defaul", "/auth/defaults", "/auth/default%20"])
def test_policy_that_there_is_not_lets_nobody_in(shared, token, path):
    a = ask(shared, bearer(token), path=path)
    assert a.status == 404 and a.body == b""
    assert field(a, "X-Jeton-Id") is None


def test_token_in_the_query_is_not_seen(shared, token):
    assert_refused(ask(shared, path=f"/auth/default?access_token={token}"),
                   "MISSING", "")


def test_forged_fields_change_nothing(shared, token):
    forged = [f"{n}: forged" for n in
              (*IDENTITY, "X-Jeton-Verdict", "X-Jeton-Policy",
               "X-Original-URI", "X-Forwarded-Uri", "X-HTTP-Method-Override")]
    a = ask(shared, *forged, bearer(token))
    assert a.status == 200 and b"forged" not in a.raw
    a = ask(shared, *forged)
    assert_refused(a, "MISSING", "")
    assert b"forged" not in a.raw


def test_owner_cannot_write_fields(shared, token):
    t = shared.create("x", "--owner", "é x: y ü")
    assert field(ask(shared, bearer(t)), "X-Jeton-Owner") == "x: y"


def test_two_authorizations_are_refused(shared, token):
    for second in (bearer(token), bearer("x"), "authorization: Basic eDp4"):
        assert_refused(ask(shared, bearer(token), second), "MALFORMED")


@pytest.mark.parametrize("lines", [
    "Authorization: Bearer\r\n {t}",           # a value that goes on
    "Author: Bearer {t}\r\n ization",          # the name made by the fold
    "A: Bearer {t}\r\n\tuthorization",
    "X: y\r\n Authorization: Bearer {t}",
    "Authorization: Bearer {t}\r\n ",
    "Author: Bearer {t}\r\n iza\r\n tion"])
def test_folded_field_is_never_a_credential(shared, token, lines):
    for before in ("", "X-Long: " + "y" * 100 + "\r\n"):
        with Http(shared) as c:
            c.raw(request(before + lines.replace("{t}", token)))
            assert_refused(c.read(), "MISSING", "")
            assert c.is_closed()


def test_folded_field_beside_a_good_one_ends_the_connection(shared, token):
    with Http(shared) as c:
        c.raw(request("Content-Length: 5\r\n 0", bearer(token)))
        c.read()
        assert c.is_closed()


# ---- bodies at /auth/ ----

@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("claim", ["7", "70000000", "999999999999999999999"])
def test_body_that_never_comes_is_not_waited_for(shared, token, version, claim):
    with Http(shared, timeout=2) as c:
        c.raw(request(bearer(token), f"Content-Length: {claim}",
                      version=version))
        a = c.read()
        assert a.status == (413 if len(claim) > 20 else 200)
        assert c.is_closed()


def test_body_is_not_read_as_a_request(shared, token):
    hidden = request(path="/livez")
    with Http(shared) as c:
        c.raw(request(bearer(token), f"Content-Length: {len(hidden)}",
                      method="POST") + hidden)
        assert c.read().status == 200
        with pytest.raises((rig.Closed, ConnectionResetError)):
            c.read()


def test_chunked_is_refused(shared, token):
    for coding in ("chunked", "Chunked", "gzip, chunked", "identity"):
        with Http(shared) as c:
            c.raw(request(bearer(token), f"Transfer-Encoding: {coding}",
                          method="POST"))
            assert_refused(c.read(), "MALFORMED")
            assert c.is_closed()


def test_two_lengths_are_a_body(shared, token):
    with Http(shared) as c:
        c.raw(request(bearer(token), "Content-Length: 0", "Content-Length: 9"))
        assert c.read().status == 200
        assert c.is_closed()


def test_expect_is_answered_at_once(shared, token):
    with Http(shared, timeout=2) as c:
        c.raw(request(bearer(token), "Content-Length: 2000000",
                      "Expect: 100-continue", method="POST"))
        assert c.read().status == 200
        assert c.is_closed()


def test_length_of_zero_keeps_the_connection(shared, token):
    with Http(shared) as c:
        assert c.ask(bearer(token), "Content-Length: 0").status == 200
        assert c.is_open()


# ---- connections ----

def test_ten_thousand_requests_reopen_nothing(shared, token):
    with shared.client() as r:
        accepted = r.stats()["accepted"]

    def run():
        with Http(shared) as c:
            for i in range(2500):
                a = c.ask(bearer(token if i % 5 else token[:-1]))
                statuses.append(a.status)
    statuses = []
    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses.count(200) == 8000 and statuses.count(401) == 2000
    with shared.client() as r:
        assert r.stats()["accepted"] - accepted == 4 + 1


def test_pipelined_requests_are_answered_in_order(shared, token):
    with Http(shared) as c:
        for n in (1, 2, 50):
            c.raw(b"".join(request(*([bearer(token)] if i % 3 else []))
                           for i in range(n)))
            assert [c.read().status for _ in range(n)] == \
                [200 if i % 3 else 401 for i in range(n)]


def test_request_byte_by_byte(shared, token):
    with Http(shared) as c:
        for byte in request(bearer(token)):
            c.raw(bytes([byte]))
        assert c.read().status == 200


def test_http_1_0_is_answered_and_closed_unless_asked_to_stay(shared, token):
    with Http(shared) as c:
        c.raw(request(bearer(token), "Connection: keep-alive",
                      version="HTTP/1.0"))
        assert c.read().status == 200
        c.raw(request(bearer(token), version="HTTP/1.0"))
        assert c.read().status == 200
        assert c.is_closed()


def test_connection_close_is_followed(shared, token):
    with Http(shared) as c:
        assert c.ask(bearer(token), "Connection: close").status == 200
        assert c.is_closed()


def test_head_has_no_body(shared, token):
    with Http(shared) as c:
        a = c.ask(path="/livez", method="HEAD")
        assert (a.status, a.body) == (200, b"")
        assert field(a, "Content-Length") == "6"
        assert c.ask(bearer(token), method="HEAD").status == 200
        assert c.is_open()


@pytest.mark.parametrize("fields", [
    ["X: " + "y" * 9000], ["X: " + "y" * 100] * 88, ["X:" + "y" * 70000],
    ["X:y"] * 5000])
def test_large_heads_are_refused(shared, token, fields):
    with Http(shared) as c:
        try:
            c.raw(request(bearer(token), *fields))
            assert c.read().status == 431
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed while we were still sending
        assert c.is_closed()


def test_long_request_line_is_refused(shared, token):
    with Http(shared) as c:
        a = c.ask(bearer(token), path="/auth/default?" + "y" * 9000)
        assert a.status in (414, 431)
        assert c.is_closed()


def test_head_of_eight_kibibytes_is_read(shared, token):
    with Http(shared) as c:
        a = c.ask(bearer(token), *[f"X-Field-{i:03}: " + "y" * 80
                                   for i in range(80)])
        assert a.status == 200
        assert c.is_open()


@pytest.mark.parametrize("data", [
    b"GET /auth/default\r\n\r\n", b"GET /livez\r\nHost: x\r\n\r\n",
    b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /livez HTTP/3.7\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    random.Random(7).randbytes(4096).replace(b" ", b"") + b"\r\n\r\n"],
    ids=range(9))
def test_what_is_not_http_is_not_answered_with_200(shared, token, data):
    with Http(shared) as c:
        c.raw(data)
        c.sock.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := c.sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        assert b" 200 " not in got


def test_slow_head_is_cut_off_though_bytes_come(shared, token):
    with shared.client() as r:
        slow = r.stats()["slow_closed"]
    start = time.monotonic()
    with Http(shared) as fresh, Http(shared) as kept:
        assert kept.ask(bearer(token)).status == 200
        kept.raw(b"GET /auth/default HTTP/1.1\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < start + 9:
                fresh.raw(b"G")
                time.sleep(0.3)
        assert 4.5 < time.monotonic() - start < 7.5
        assert kept.is_closed()
    with shared.client() as r:
        assert r.stats()["slow_closed"] - slow == 2


def test_connections_beyond_the_limit_hear_503(site):
    site.start("--workers", "1", "--connections", "4")
    t = site.create("x")
    kept = [Http(site) for _ in range(4)]
    assert [c.ask(bearer(t)).status for c in kept] == [200] * 4
    with Http(site) as c:
        a = c.ask(bearer(t))
        assert a.status == 503 and field(a, "Retry-After") == "1"
        assert a.body == b"" and c.is_closed()
    kept.pop().sock.close()
    rig.until(lambda: ask(site, bearer(t)).status == 200, 5, "room again")
    assert [c.ask(bearer(t)).status for c in kept] == [200] * 3
    with site.client() as c:
        assert c.stats()["busy"] >= 1


# ---- in force ----

def test_revoke_is_in_force_when_it_returns(shared, token):
    with Http(shared) as c:
        for _ in range(20):
            t = shared.create("x")
            assert c.ask(bearer(t)).status == 200
            shared.revoke(t)
            assert word(c.ask(bearer(t))) == "REVOKED"


def test_killed_http_worker_is_replaced(served):
    daemon = served.daemons[-1]
    t = served.create("x")
    time.sleep(1.1)
    (victim,) = daemon.worker_pids(("http",))
    resp = daemon.worker_pids()
    with Http(served) as c:
        assert c.ask(bearer(t)).status == 200
        os.kill(victim, signal.SIGKILL)
        assert c.is_closed()
    assert ask(served, bearer(t)).status == 200
    assert daemon.worker_pids(("http",)) != [victim]
    assert daemon.worker_pids() == resp
    served.revoke(t)
    assert word(ask(served, bearer(t))) == "REVOKED"


def test_stop_ends_it_with_connections_open(served):
    with Http(served) as c:
        c.ask()
        assert served.daemons[-1].stop() == 0
        assert c.is_closed()


# ---- other routes ----

def test_health_and_version(shared, token):
    assert ask(shared, path="/livez").body == b"alive\n"
    assert ask(shared, path="/readyz").body == b"ready\n"
    assert ask(shared, path="/version").body.startswith(b"jetond ")
    for path in ("/livez", "/readyz", "/version"):
        a = ask(shared, path=path, method="POST", body=b"")
        assert a.status == 405 and field(a, "Allow") == "GET, HEAD"
        assert field(a, "Content-Type") == "application/problem+json"


def test_nowhere_is_404(shared, token):
    for path in ("/", "/auth", "/v1", "/livez/", "/v1/verify/x", "/LIVEZ"):
        a = ask(shared, bearer(token), path=path)
        assert a.status == 404
        assert json.loads(a.body)["code"] == "NOT_FOUND"


# ---- JSON ----

def test_verify_valid(shared, token):
    a = post(shared, "/v1/verify", {"token": token, "env": "prod", "cost": 1,
                                    "scopes": ["orders:read", "billing:x"]})
    o = json.loads(a.body)
    assert a.status == 200
    assert field(a, "Content-Type") == "application/json"
    assert (o["verdict"], o["status"], o["id"], o["owner"]) == \
        ("VALID", 200, token[:24], "team")
    assert set(o["scopes"]) == {"orders:read", "billing:*"}
    assert (o["limit"], o["remaining"], o["notes"]) == (-1, -1, [])


def test_verify_refusals_are_problems(shared, token):
    revoked = shared.create("r")
    shared.revoke(revoked)
    rated = shared.create("l", "--rate", "1/min")
    assert shared.word(rated) == "VALID"
    for value, name in (
            ({"token": ""}, "MISSING"), ({"token": token + "\n"}, "WHITESPACE"),
            ({"token": "x"}, "MALFORMED"),
            ({"token": mistyped(token, 50)}, "MISTYPED"),
            ({"token": other_secret(token)}, "UNKNOWN"),
            ({"token": token, "env": "live"}, "WRONG_ENVIRONMENT"),
            ({"token": revoked}, "REVOKED"),
            ({"token": token, "scopes": ["orders:read", "orders:write"]},
             "INSUFFICIENT_SCOPE"),
            ({"token": rated}, "RATE_LIMITED")):
        a = post(shared, "/v1/verify", value)
        o = json.loads(a.body)
        assert field(a, "Content-Type") == "application/problem+json"
        assert a.status == o["status"] == rig.STATUS.get(name, 401)
        assert o["code"] == o["verdict"] == name
        assert o["type"] and o["title"] and o["detail"]
        if name == "INSUFFICIENT_SCOPE":
            assert field(a, "WWW-Authenticate").endswith(
                'error="insufficient_scope", '
                'scope="orders:read orders:write"')
            assert o["notes"] == ["SCOPE:orders:write"]
        if name == "RATE_LIMITED":
            assert 58 <= int(field(a, "Retry-After")) <= 60
            assert o["retry_after_ms"] > 58000


def test_bad_bodies_name_the_field_and_repeat_nothing(shared, token):
    before = commands(shared)
    for value, named in (
            ({}, "token"), ({"token": 7}, "token"), ({token: 1}, "known"),
            ({"token": token, "env": 1}, "env"),
            ({"token": token, "scopes": token}, "scopes"),
            ({"token": token, "scopes": ["a b"]}, "scopes"),
            ({"token": token, "cost": -1}, "cost"),
            ({"token": token, "cost": token}, "cost"),
            (token.encode(), "JSON"), (b"", "JSON"), (b"[]", "object"),
            (b'{"token": "\\u0000"}', "JSON"), (b"[" * 60000, "JSON")):
        a = post(shared, "/v1/verify", value)
        o = json.loads(a.body)
        assert (a.status, o["code"]) == (400, "BAD_REQUEST")
        assert named in o["detail"]
        assert token.encode() not in a.raw
    assert commands(shared) == before + 1  # STATS itself


def test_two_authorizations_are_a_bad_request(shared, token):
    for path in ("/v1/verify", "/v1/verify/batch", "/introspect"):
        a = post(shared, path, {"token": token}, bearer(token), bearer("x"))
        assert a.status == 400 and token.encode() not in a.raw


def test_batch_is_answered_in_order(shared, token):
    a = post(shared, "/v1/verify/batch", {"tokens": [
        {"token": token}, {"token": token, "env": "live"}, {"token": "x"}]})
    assert a.status == 200
    verdicts = json.loads(a.body)["verdicts"]
    assert [v["verdict"] for v in verdicts] == \
        ["VALID", "WRONG_ENVIRONMENT", "MALFORMED"]
    assert "code" not in verdicts[0] and verdicts[2]["code"] == "MALFORMED"


def test_batch_of_a_thousand_and_no_more(shared, token):
    with Http(shared) as c:
        for n, status in ((1000, 200), (1001, 400), (0, 400), (1, 200)):
            body = json.dumps({"tokens": [{"token": token, "cost": 0}] * n})
            a = c.ask(path="/v1/verify/batch", method="POST",
                      body=body.encode())
            assert a.status == status, n
    a = post(shared, "/v1/verify/batch",
             {"tokens": [{"token": token}, {"token": token, "cost": -1}]})
    assert json.loads(a.body)["element"] == 1


def test_bodies_beyond_their_limit_are_refused(shared, token):
    for path, most in (("/v1/verify", 65536), ("/introspect", 65536),
                       ("/v1/verify/batch", 1048576)):
        with Http(shared) as c:
            c.raw(request(f"Content-Length: {most + 1}", path=path,
                          method="POST"))
            a = c.read()
            assert a.status == 413
            assert json.loads(a.body)["code"] == "TOO_LARGE"
            assert c.is_closed()
        a = ask(shared, path=path, method="POST", body=b" " * most)
        assert a.status == 400
        with Http(shared) as c:  # its length is not told beforehand
            c.raw(request("Transfer-Encoding: chunked", path=path,
                          method="POST"))
            for _ in range(most // 4096 + 1):
                c.raw(b"1000\r\n" + b" " * 4096 + b"\r\n")
            c.raw(b"0\r\n\r\n")
            assert c.read().status == 413


def test_body_in_pieces_and_after_expect(shared, token):
    body = json.dumps({"token": token}).encode()
    with Http(shared) as c:
        c.raw(request(f"Content-Length: {len(body)}", "Expect: 100-continue",
                      path="/v1/verify", method="POST"))
        assert c.read().status == 100
        for byte in body:
            c.raw(bytes([byte]))
        assert c.read().status == 200
        assert c.is_open()


def test_body_that_never_comes_ends_the_connection(shared, token):
    with Http(shared) as c:
        c.raw(request("Content-Length: 9", path="/v1/verify", method="POST"))
        start = time.monotonic()
        assert c.is_closed()
        assert 8 < time.monotonic() - start < 15


# ---- RFC 7662 ----

def introspect(site, form):
    a = ask(site, path="/introspect", method="POST", body=form.encode())
    return a, json.loads(a.body)


def test_introspection_of_an_active_token(shared, token):
    a, o = introspect(shared, f"token_type_hint=access_token&token={token}")
    assert a.status == 200 and field(a, "Content-Type") == "application/json"
    assert set(o) == {"active", "scope", "client_id", "sub", "exp",
                      "token_type"}
    assert o["active"] is True and o["token_type"] == "Bearer"
    assert (o["client_id"], o["sub"]) == ("team", token[:24])
    assert set(o["scope"].split()) == {"orders:read", "billing:*"}
    assert abs(o["exp"] - time.time() - 90 * 86400) < 120


def test_introspection_tells_nothing_of_others(shared, token):
    revoked = shared.create("r")
    shared.revoke(revoked)
    for value in (revoked, token[:-1], other_secret(token), ""):
        a, _ = introspect(shared, f"token={value}")
        assert (a.status, a.body) == (200, b'{"active":false}')


def test_introspection_needs_one_token(shared, token):
    for form in ("", "x=y", f"token={token}&token={token}", "token=%4"):
        a, o = introspect(shared, form)
        assert (a.status, o["code"]) == (400, "BAD_REQUEST")
    a = ask(shared, path=f"/introspect?token={token}")
    assert a.status == 405 and field(a, "Allow") == "POST"


# ---- curl ----

def curl(site, *args):
    return subprocess.run(
        ["curl", "-sS", "-i", "--unix-socket",
         str(site.run / "jeton-http.sock"), "--max-time", "10", *args],
        capture_output=True, text=True, check=True).stdout


def test_curl(shared, token):
    url = "http://localhost"
    out = curl(shared, f"{url}/auth/default/x?y", "--oauth2-bearer", token)
    assert out.startswith("HTTP/1.1 200 ")
    out = curl(shared, f"{url}/auth/default", "-u", f"u:{token}")
    assert out.startswith("HTTP/1.1 401 ")  # Basic is not in this policy
    out = curl(shared, f"{url}/introspect", "--data-urlencode",
               f"token={token}")
    assert '"active":true' in out
    out = curl(shared, f"{url}/v1/verify", "--json", '{"token":"x"}')
    assert '"code":"MALFORMED"' in out
    out = curl(shared, f"{url}/auth/default", "-T", __file__,
               "-H", bearer(token), "-H", "Expect: 100-continue")
    assert out.startswith("HTTP/1.1 200 ")


# ---- loopback ----

def test_loopback_listener_answers_the_same(site):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    site.start("--workers", "1", "--http-listen", f"127.0.0.1:{port}")
    t = site.create("x")
    out = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "10", "-H", bearer(t),
         f"http://127.0.0.1:{port}/auth/default"],
        capture_output=True, text=True, check=True).stdout
    assert out.startswith("HTTP/1.1 200 ") and t[:24] in out
    assert ask(site, bearer(t)).status == 200
