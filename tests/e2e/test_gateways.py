"""Real proxies with the shipped recipes: what reaches client and service.

The names of the tests bear the proxies' versions.
"""
import hashlib
import http.client
import json
import multiprocessing
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import proxies
import rig
from proxies import a_gate

IDENTITY = ["x-jeton-id", "x-jeton-owner", "x-jeton-scopes", "x-jeton-env",
            "x-jeton-expires-in"]
INVALID = 'Bearer realm="jeton", error="invalid_token"'
VERSIONS = {name: proxies.version(name) for name in proxies.PROXIES}
EVERY = pytest.mark.parametrize(
    "name", proxies.PROXIES, ids=[f"{n}-{v}" for n, v in VERSIONS.items()])
# what the recipes of the others say is why they do not
KEEPERS = [n for n in VERSIONS if n not in ("nginx-plain", "caddy")]
KEEPING = pytest.mark.parametrize(
    "name", KEEPERS, ids=[f"{n}-{VERSIONS[n]}" for n in KEEPERS])


@pytest.fixture(scope="module", params=list(VERSIONS),
                ids=[f"{n}-{v}" for n, v in VERSIONS.items()])
def gate(request):
    """For tests that leave nothing behind that others see."""
    with a_gate(request.param) as g:
        g.token = g.site.create("x", "--owner", "team", "--env", "prod",
                                "--scope", "orders:read,orders:write")
        g.nobody = g.site.create("x")
        yield g


def got(answer):
    """What the service says it got: its fields by name, each a list."""
    assert answer.status == 200, answer
    seen = json.loads(answer.body)
    fields = {}
    for name, value in seen["fields"]:
        fields.setdefault(name, []).append(value)
    return seen, fields


def assert_refused(g, answer, status, n_seen):
    assert answer.status == status, answer
    assert len(g.service.seen) == n_seen, g.service.seen[-1]
    assert not [f for f in answer.fields if f.startswith("x-jeton")], answer


# ---- allowed ----

def test_a_valid_request_carries_its_identity(gate):
    with gate.one_verdict("VALID"):
        a = gate.curl(token=gate.token)
    _, fields = got(a)
    assert fields["x-jeton-id"] == [gate.token[:24]]
    assert fields["x-jeton-owner"] == ["team"]
    assert fields["x-jeton-scopes"] == ["orders:read orders:write"]
    assert fields["x-jeton-env"] == ["prod"]
    left_s, = map(int, fields["x-jeton-expires-in"])
    assert 90 * 86400 - 300 < left_s <= 90 * 86400


def test_the_secret_stays_at_the_proxy(gate):
    a = gate.curl(token=gate.token)
    _, fields = got(a)
    assert "authorization" not in fields
    assert gate.token[24:] not in a.body.decode()


def test_the_verdict_is_told_to_nobody_else(gate):
    a = gate.curl(token=gate.token)
    _, fields = got(a)
    assert "x-jeton-verdict" not in fields
    for a in (a, gate.curl(token=gate.token[:40]), gate.curl()):
        assert not [f for f in a.fields if f.startswith("x-jeton")], a


@pytest.mark.parametrize("token", ["token", "nobody"])
@pytest.mark.parametrize("field", [
    "X-Jeton-Id", "X-Jeton-Owner", "X-Jeton-Scopes", "X-Jeton-Env",
    "X-Jeton-Expires-In", "X-Jeton-Verdict", "x-jeton-owner", "X-JETON-OWNER",
    "X_Jeton_Owner", "X-Jeton_Owner", "X_Jeton-Owner", "x_jeton_owner"])
def test_a_forged_identity_never_reaches_the_service(gate, token, field):
    forged = ("-H", f"{field}: forged", "-H", f"{field}: forged too")
    _, fields = got(gate.curl(*forged, token=getattr(gate, token)))
    owner = "team" if token == "token" else ""
    assert "forged" not in json.dumps(fields), fields
    # as frameworks read it that take - and _ for the same
    assert [v for f, vs in fields.items() for v in vs
            if f.replace("_", "-") == "x-jeton-owner"] in ([owner], []), fields
    n = len(gate.service.seen)
    assert_refused(gate, gate.curl(*forged), 401, n)


@pytest.mark.parametrize("line", [
    "X-Jeton-Owner : forged", "X-Jeton-Owner\t: forged",
    "X-Folded: x\r\n X-Jeton-Owner: forged", "X-Jeton-Owner:\r\n forged",
    "\x00X-Jeton-Owner: forged", " X-Jeton-Owner: forged"])
def test_an_identity_in_broken_lines_never_reaches_the_service(gate, line):
    n = len(gate.service.seen)
    with socket.create_connection(("127.0.0.1", gate.proxy.port), 30) as s:
        s.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{line}\r\nConnection: close"
                  f"\r\nAuthorization: Bearer {gate.token}\r\n\r\n".encode())
        text = b""
        while piece := s.recv(65536):
            text += piece
    status = int(text.split()[1])
    assert status in (200, 400, 401), text
    for seen in gate.service.seen[n:]:
        assert [v for f, v in seen["fields"]
                if "jeton" in f and "owner" in f] == ["team"], seen
    assert len(gate.service.seen) == n + (status == 200)


def test_a_connection_is_not_trusted_for_its_first_request(gate):
    n = len(gate.service.seen)
    good = f"Authorization: Bearer {gate.token}\r\n"
    with socket.create_connection(("127.0.0.1", gate.proxy.port), 30) as s:
        s.sendall("".join(
            f"GET /{i} HTTP/1.1\r\nHost: x\r\n{field}\r\n" for i, field in
            enumerate((good, "", good, "Connection: close\r\n"))).encode())
        text = b""
        while piece := s.recv(65536):
            text += piece
    assert re.findall(rb"HTTP/1.1 (\d+)", text) == \
        [b"200", b"401", b"200", b"401"], text
    assert [x["path"] for x in gate.service.seen[n:]] == ["/0", "/2"]


@pytest.mark.parametrize("named", [
    "close, X-Jeton-Owner", "x-jeton-owner", "keep-alive,X-Jeton-Owner,close"])
def test_a_client_cannot_have_the_identity_removed(gate, named):
    """What `Connection` names, proxies take for meant for themselves."""
    _, fields = got(gate.curl("-H", f"Connection: {named}",
                              "-H", "X-Jeton-Owner: forged",
                              token=gate.token))
    assert fields["x-jeton-owner"] == ["team"]


@pytest.mark.parametrize("method", [
    "GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_methods_are_the_clients(gate, method):
    seen, _ = got(gate.curl("-X", method, path="/a/b", token=gate.token))
    assert (seen["method"], seen["path"], seen["bytes"]) == (method, "/a/b", 0)


def test_head_has_no_body_and_is_not_let_through_without_a_token(gate):
    a = gate.curl("-I", token=gate.token)
    assert a.status == 200 and a.body.count(b"\r\n\r\n") == 1  # -I: the head
    assert a.body.endswith(b"\r\n\r\n")
    assert gate.service.seen[-1]["method"] == "HEAD"
    n = len(gate.service.seen)
    assert_refused(gate, gate.curl("-I"), 401, n)


def test_the_services_own_errors_pass_as_they_are(gate):
    for status in (400, 401, 403, 404, 429, 500, 503):
        a = gate.curl("-H", f"X-Say: {status}", token=gate.token)
        assert a.status == status
        assert json.loads(a.body)["path"] == "/", a
        assert "retry-after" not in a.fields
        assert "www-authenticate" not in a.fields


@pytest.mark.parametrize("path", [
    "/a?x=1&y=%20", "/a?", "/?policy=other", "/?/auth/other",
    "/a/../b?auth=none", "/auth/other", "/?a=" + "x" * 5000, "/a/%2e%2e/x",
    "//other", "/..;/x"])
def test_path_and_query_do_not_matter_to_the_policy(gate, path):
    with gate.one_verdict("VALID"):
        a = gate.curl("-g", path=path, token=gate.token)
    seen, _ = got(a)
    assert seen["path"].partition("?")[2] == path.partition("?")[2]
    n = len(gate.service.seen)
    with gate.one_verdict("MISSING"):
        assert_refused(gate, gate.curl("-g", path=path), 401, n)


@pytest.mark.parametrize("query", [
    "access_token={t}", "token={t}", "Authorization=Bearer%20{t}"])
def test_a_token_in_the_query_is_none(gate, query):
    n = len(gate.service.seen)
    with gate.one_verdict("MISSING"):
        a = gate.curl(path="/?" + query.format(t=gate.token))
    assert_refused(gate, a, 401, n)


@pytest.mark.parametrize("path", ["/_jeton", "/_jeton/", "/%5fjeton"])
def test_what_asks_jetond_cannot_be_asked_from_outside(gate, path):
    n = len(gate.service.seen)
    a = gate.curl(path=path)
    assert a.status in (401, 404) and len(gate.service.seen) == n
    a = gate.curl(path=path, token=gate.token)  # a path like any other, or none
    assert (a.status, len(gate.service.seen)) in ((200, n + 1), (404, n))
    assert not [f for f in a.fields if f.startswith("x-jeton")], a


# ---- bodies ----

@pytest.mark.parametrize("n_bytes", [0, 1, 1 << 20, 10 << 20])
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_bodies_arrive_whole(gate, n_bytes, method, how):
    body = bytes(i * 31 & 255 for i in range(1021)) * (n_bytes // 1021 + 1)
    body = body[:n_bytes]
    path = gate.site.root / "upload"
    path.write_bytes(body)
    more = ("-H", "Transfer-Encoding: chunked") if how == "chunked" else ()
    with gate.one_verdict("VALID"):
        a = gate.curl("-X", method, "--data-binary", f"@{path}", *more,
                      token=gate.token)
    seen, fields = got(a)
    assert (seen["method"], seen["bytes"]) == (method, n_bytes)
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert fields["x-jeton-owner"] == ["team"]


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_refused_body_reaches_nobody(gate, how):
    path = gate.site.root / "upload"
    path.write_bytes(b"x" * (1 << 20))
    more = ("-H", "Transfer-Encoding: chunked") if how == "chunked" else ()
    n = len(gate.service.seen)
    for _ in range(5):
        a = gate.curl("-X", "PUT", "--data-binary", f"@{path}", *more,
                      token=rig.mistyped(gate.token, 40), rc=(0, 55))
        if a:
            break  # else it was closed before curl had sent all
    assert_refused(gate, a, 401, n)


def test_a_request_hidden_in_a_body_is_a_body(gate):
    hidden = (f"GET /hidden HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
              f"{gate.token}\r\n\r\n").encode()
    path = gate.site.root / "upload"
    path.write_bytes(hidden)
    n = len(gate.service.seen)
    with gate.one_verdict("MISSING"):
        a = gate.curl("--data-binary", f"@{path}")
    assert_refused(gate, a, 401, n)
    with gate.one_verdict("VALID"):
        seen, _ = got(gate.curl("--data-binary", f"@{path}",
                                token=gate.token))
    assert seen["bytes"] == len(hidden)
    assert "/hidden" not in [s["path"] for s in gate.service.seen]


# ---- refused ----

def expired(site):
    t = site.create("x", "--expires", "1s")
    rig.until(lambda: site.word(t, "COST", 0) == "EXPIRED", 5, "expired")
    return t


def revoked(site):
    t = site.create("x")
    site.revoke(t)
    return t


def suspended(site):
    t = site.create("x")
    site.cli("suspend", t[:24])
    return t


def unknown(site):
    return rig.other_secret(site.create("x"))


REFUSED = [
    ("MISSING", lambda s: None, 'Bearer realm="jeton"'),
    ("EXPIRED", expired, INVALID),
    ("REVOKED", revoked, INVALID),
    ("SUSPENDED", suspended, INVALID),
    ("UNKNOWN", unknown, INVALID),
    ("MALFORMED", lambda s: s.create("x")[:-1], INVALID),
    ("MISTYPED", lambda s: rig.mistyped(s.create("x"), 40), INVALID),
    ("WHITESPACE", lambda s: " " + s.create("x"), INVALID),
]


@pytest.mark.parametrize("word,make,challenge", REFUSED,
                         ids=[r[0] for r in REFUSED])
def test_401_with_its_challenge_and_nothing_at_the_service(gate, word, make,
                                                           challenge):
    token, n = make(gate.site), len(gate.service.seen)
    with gate.one_verdict(word):
        a = gate.curl(token=token)
    assert_refused(gate, a, 401, n)
    assert a.fields["www-authenticate"] == [challenge]
    assert "retry-after" not in a.fields


@pytest.mark.parametrize("fields", [
    ["Authorization: Basic {t}"], ["Authorization: {t}"], ["Authorization:;"],
    ["X-API-Key: {t}"], ["Cookie: token={t}"],
    ["Proxy-Authorization: Bearer {t}"],
    ["Authorization: Bearer {t}, Bearer {t}"], ["Authorization: Bearer {t} x"],
    ["Authorization: Bearer"], ["Authorization: Bearer {t}",
                                "Authorization: Bearer {t}"],
    ["Authorization: Bearer x", "Authorization: Bearer {t}"]])
def test_a_token_elsewhere_or_twice_is_not_let_through(gate, fields):
    n, args = len(gate.service.seen), []
    for field in fields:
        args += ["-H", field.format(t=gate.token).replace(":;", ";")]
    a = gate.curl(*args)
    assert a.status in (400, 401), a  # nginx refuses two by itself
    assert len(gate.service.seen) == n


def test_a_head_too_long_for_the_door_is_not_let_through(gate):
    n = len(gate.service.seen)
    for size in (7000, 8200, 12000, 30000):
        a = gate.curl("-H", "X-Long: " + "x" * size, token=gate.token)
        if a.status == 200:  # it was not handed on to the door
            n += 1
        # 502: the door has hung up on a head that was still being sent
        assert a.status in (200, 400, 431, 500, 502, 503), (size, a)
        assert len(gate.service.seen) == n


def test_429_with_the_time_to_wait_and_what_is_left(gate):
    token = gate.site.create("x", "--rate", "6/min", "--burst", "2")
    for left in (1, 0):
        with gate.one_verdict("VALID"):
            a = gate.curl(token=token)
        got(a)
        assert a.fields["ratelimit-policy"] == ['"default";q=2;w=20']
        assert a.fields["ratelimit"][0].startswith(f'"default";r={left};t=')
        assert "retry-after" not in a.fields
    n = len(gate.service.seen)
    with gate.one_verdict("RATE_LIMITED"):
        a = gate.curl(token=token)
    assert_refused(gate, a, 429, n)
    assert 1 <= int(a.fields["retry-after"][0]) <= 10
    assert a.fields["ratelimit-policy"] == ['"default";q=2;w=20']
    assert a.fields["ratelimit"][0].startswith('"default";r=0;t=')
    assert "www-authenticate" not in a.fields


def test_429_of_a_quota(gate):
    token = gate.site.create("x", "--quota", "1/day")
    got(gate.curl(token=token))
    n = len(gate.service.seen)
    with gate.one_verdict("QUOTA_EXCEEDED"):
        a = gate.curl(token=token)
    assert_refused(gate, a, 429, n)
    assert 1 <= int(a.fields["retry-after"][0]) <= 86400


def test_requests_without_a_limit_have_no_fields_of_one(gate):
    for token, status in ((gate.token, 200), (gate.token[:-1], 401)):
        a = gate.curl(token=token)
        assert a.status == status
        assert not {"ratelimit", "ratelimit-policy"} & set(a.fields), a
        assert "{http" not in json.dumps(a.fields)


@EVERY
def test_wrong_environment(name):
    with a_gate(name, "--env", "live") as g:
        got(g.curl(token=g.site.create("x", "--env", "live")))
        n = len(g.service.seen)
        other = g.site.create("x", "--env", "prod")
        with g.one_verdict("WRONG_ENVIRONMENT"):
            a = g.curl(token=other)
        assert_refused(g, a, 401, n)
        assert a.fields["www-authenticate"] == [INVALID]


# ---- many ----

def test_answers_belong_to_their_own_requests(gate):
    """Many clients at once, some of them refused, some with bodies."""
    owners = [f"owner{i}" for i in range(8)]
    tokens = [gate.site.create("x", "--owner", o) for o in owners]
    gate.site.revoke(tokens[3])
    wrong = []

    def client(i):
        c = http.client.HTTPConnection("127.0.0.1", gate.proxy.port,
                                       timeout=30)
        body = (b"%d" % i) * 5000
        for k in range(40):
            with_body = (i + k) % 3 == 0
            c.request("POST" if with_body else "GET", f"/{i}/{k}",
                      body if with_body else None,
                      {"Authorization": f"Bearer {tokens[i]}"})
            r = c.getresponse()
            text = r.read()
            if i == 3:
                if r.status != 401:
                    wrong.append((i, k, r.status))
                continue
            seen = json.loads(text) if r.status == 200 else {}
            if seen.get("path") != f"/{i}/{k}" or \
                    ["x-jeton-owner", owners[i]] not in seen["fields"] or \
                    seen["bytes"] != (len(body) if with_body else 0):
                wrong.append((i, k, r.status, seen))
        c.close()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def ask_for(seconds, number, port, tokens, said):
    """25 clients, every second one with a dead token; SAID of the wrong."""
    end, wrong = time.monotonic() + seconds, []

    def client(i):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        k = 0
        while time.monotonic() < end:
            c.request("GET", f"/{number}/{i}/{k}", None,
                      {"Authorization": f"Bearer {tokens[i % 2]}"})
            r = c.getresponse()
            text = r.read()
            if r.status != (200, 401)[i % 2]:
                wrong.append((r.status, text))
            k += 1
        c.close()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(25)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    said.put(wrong)


def test_caddy_has_no_token_judged_by_the_service(monkeypatch):
    """It may open a connection late, and then did so to the service: with more
    requests under way than it keeps connections, on more cores than these."""
    monkeypatch.setenv("GOMAXPROCS", "8")
    with a_gate("caddy") as g:
        tokens = [g.site.create("x"), g.site.create("x")]
        g.site.revoke(tokens[1])
        said = multiprocessing.Queue()
        clients = [multiprocessing.Process(
            target=ask_for, args=(6, i, g.proxy.port, tokens, said))
            for i in range(4)]
        for c in clients:
            c.start()
        assert [said.get() for _ in clients] == [[]] * 4
        for c in clients:
            c.join()
        strange = [s for s in g.service.seen
                   if not re.fullmatch(r"/\d/\d+/\d+", s["path"])]
        assert strange == []
        assert not [s for s in g.service.seen if tokens[0] in json.dumps(s)]


def accepted_by_http(g):
    return sum(w["accepted"] for w in g.site.status()["workers"]
               if w["door"] == "http")


@KEEPING
@pytest.mark.parametrize("n_at_once", [1, 8])
def test_connections_to_the_door_are_kept(name, n_at_once):
    with a_gate(name) as g:
        good = g.site.create("x")
        before = accepted_by_http(g)
        assert set(g.many(500, good, n_at_once)) == {200}
        assert set(g.many(300, good[:-1], n_at_once)) == {401}
        assert set(g.many(200, good, n_at_once, "-d", "x")) == {200}
        assert accepted_by_http(g) - before <= 32


def test_the_plain_recipe_makes_a_connection_a_request():
    with a_gate("nginx-plain") as g:
        before = accepted_by_http(g)
        assert set(g.many(100, g.site.create("x"))) == {200}
        assert accepted_by_http(g) - before == 100


# ---- changes ----

def test_a_change_is_in_force_with_the_next_request(gate):
    token = gate.site.create("x")
    ident = token[:24]
    got(gate.curl(token=token))
    for verb, status in (("suspend", 401), ("resume", 200), ("revoke", 401)):
        gate.site.cli(verb, ident)
        assert gate.curl(token=token).status == status


def test_a_revoke_among_many_requests(gate):
    """None that was sent after `revoke` returned is let through."""
    token = gate.site.create("x", "--owner", "victim")
    ended, late, n_good = threading.Event(), [], [0]
    is_revoked = threading.Event()

    def client():
        c = http.client.HTTPConnection("127.0.0.1", gate.proxy.port,
                                       timeout=30)
        while not ended.is_set():
            sent_after = is_revoked.is_set()
            c.request("GET", "/", headers={"Authorization": f"Bearer {token}"})
            r = c.getresponse()
            r.read()
            n_good[0] += r.status == 200
            if sent_after and r.status != 401:
                late.append(r.status)
        c.close()

    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    rig.until(lambda: n_good[0] > 50, 20 * rig.PATIENCE, "requests")
    gate.site.revoke(token)
    is_revoked.set()
    time.sleep(0.3)
    ended.set()
    for t in threads:
        t.join()
    assert late == []


# ---- jetond is away ----

@EVERY
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_closed_while_jetond_is_down_and_open_when_it_is_back(name, how):
    with a_gate(name) as g:
        token = g.site.create("x")
        assert g.many(20, token) == [200] * 20
        g.site.daemons[-1].stop(how)
        n = len(g.service.seen)
        for args in ({"token": token}, {"token": token[:-1]}, {}):
            for _ in range(3):
                a = g.curl(**args)
                assert a.status in (502, 503), a
        assert g.many(20, token) == [503 if a.status == 503 else 502] * 20
        assert len(g.service.seen) == n
        g.site.start("--workers", "1")
        # nginx does not ask a server that failed for 10 s
        rig.until(lambda: g.curl(token=token).status == 200,
                  15 * rig.PATIENCE, "let through again", step_s=0.1)
        assert g.many(100, token) == [200] * 100
        g.site.revoke(token)
        assert g.curl(token=token).status == 401


@KEEPING
def test_a_restart_between_two_requests_is_not_seen(name):
    with a_gate(name) as g:
        token = g.site.create("x")
        for _ in range(3):
            assert g.many(20, token, 4) == [200] * 20
            g.site.daemons[-1].stop()
            g.site.start("--workers", "1")


@EVERY
def test_closed_while_jetond_hangs(name):
    with a_gate(name) as g:
        token = g.site.create("x")
        got(g.curl(token=token))
        n = len(g.service.seen)
        pids = g.site.daemons[-1].worker_pids(("http",))
        g.signal(pids, signal.SIGSTOP)
        try:
            a = g.curl(token=token)
            assert a.status in (502, 503, 504), a
            assert len(g.service.seen) == n
        finally:
            g.signal(pids, signal.SIGCONT)
        rig.until(lambda: g.curl(token=token).status == 200,
                  15 * rig.PATIENCE, "let through again", step_s=0.1)


@EVERY
def test_closed_while_the_journal_is_replayed(name):
    with a_gate(name, "--capacity", 200000) as g:
        tokens = g.site.bulk(20000 if rig.ASAN else 150000)
        token = tokens[len(tokens) // 2]
        g.site.daemons[-1].stop()
        n = len(g.service.seen)
        door = g.site.start("--workers", "1", wait=False)
        c = http.client.HTTPConnection("127.0.0.1", g.proxy.port, timeout=30)
        said, waits = [], set()
        while not said or said[-1] != 200:
            assert door.process.poll() is None and len(said) < 100000
            c.request("GET", "/", headers={"Authorization": f"Bearer {token}"})
            r = c.getresponse()
            r.read()
            said.append(r.status)
            waits.add(r.getheader("Retry-After"))
        c.close()
        assert "1" in waits
        assert set(said[:-1]) <= {502, 503}, set(said)
        assert len(g.service.seen) == n + 1
        assert g.word_counts()["LOADING"] > 0, "never saw it load"


@EVERY
def test_closed_when_the_door_has_no_room(name):
    with a_gate(name, "--connections", "1") as g:
        token = g.site.create("x")
        with socket.socket(socket.AF_UNIX) as hog:
            hog.connect(str(g.site.run / "jeton-http.sock"))
            hog.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert hog.recv(100).startswith(b"HTTP/1.1 200")
            n = len(g.service.seen)
            assert g.curl(token=token).status == 503
            assert len(g.service.seen) == n
        rig.until(lambda: g.curl(token=token).status == 200,
                  15 * rig.PATIENCE, "let through again", step_s=0.1)


class Broken(proxies.Haproxy):
    """Its script fails after the answer has come."""

    def lua(self):
        text = super().lua()
        assert "\tif got.status == 200 then" in text
        return text.replace("\tif got.status == 200 then",
                            "\tgot.nothing.there = 1\n"
                            "\tif got.status == 200 then")


def test_a_script_that_fails_lets_nothing_through():
    with a_gate("haproxy", kind=Broken) as g:
        assert g.curl(token=g.site.create("x")).status == 503
        assert g.service.seen == []


# ---- proxies that were not run: what their documents say they send ----

@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("suffix", [
    "", "/", "/a/b?q=1", "/../other?x=/auth/none", "/%2e%2e/other"])
def test_envoys_check_has_the_clients_method_path_and_query(shared, method,
                                                            suffix):
    token = shared.create("x", "--owner", "me")
    done = subprocess.run(
        ["curl", "-sS", "-q", "-g", "--path-as-is", "--max-time", "10",
         "--unix-socket", str(shared.run / "jeton-http.sock"),
         "-X", method, "-D", "-", "-o", "/dev/null", "-H", "Content-Length: 0",
         "-H", f"Authorization: Bearer {token}", "-H", "Host: client",
         *(["-I"] if method == "HEAD" else []),
         f"http://jeton/auth/default{suffix}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    text = done.stdout.decode()
    assert done.returncode == 0 and text.startswith("HTTP/1.1 200 "), text
    assert "\r\nX-Jeton-Owner: me\r\n" in text
    assert "\r\nContent-Length: 0\r\n" in text


def test_traefik_and_apisix_ask_over_a_loopback_address(site):
    port = proxies.free_port()
    site.start("--workers", "1", "--http-listen", f"127.0.0.1:{port}")
    token = site.create("x", "--owner", "me")
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    forwarded = {"X-Forwarded-Method": "POST", "X-Forwarded-Uri": "/a?b",
                 "X-Forwarded-Host": "client", "X-Forwarded-Proto": "https",
                 "X-Forwarded-For": "192.0.2.1"}
    for value, status in ((token, 200), (token[:-1], 401), (token, 200)):
        c.request("GET", "/auth/default",
                  headers={"Authorization": f"Bearer {value}", **forwarded})
        r = c.getresponse()
        assert (r.status, r.read()) == (status, b"")
        assert r.getheader("X-Jeton-Owner") == \
            ("me" if status == 200 else None)
    c.close()


def test_recipes_that_were_not_run_say_so_first():
    run = {"nginx.conf", "Caddyfile", "haproxy.cfg", "jeton.lua"}
    for path in proxies.RECIPES.iterdir():
        says = "Read from its documents, not run" in \
            path.read_text().split("\n", 1)[0]
        assert says == (path.name not in run), path


# ---- policies ----

POLICIES = """[policy default]
env = live
[policy orders]
env = live
scope = orders:read orders:export
[policy heavy]
cost = 3
[policy keys]
credentials = api-key basic
"""


@pytest.fixture
def configured(tmp_path):
    path = tmp_path / "jetond.conf"
    path.write_text(POLICIES)
    return "--config", path


@EVERY
def test_403_names_the_scopes_of_the_policy(name, configured):
    with a_gate(name, *configured, policy="orders") as g:
        allowed = g.site.create("x", "--scope", "orders:*")
        _, fields = got(g.curl(token=allowed))
        assert fields["x-jeton-scopes"] == ["orders:*"]
        n = len(g.service.seen)
        for scopes in ([], ["--scope", "orders:read"]):
            token = g.site.create("x", *scopes)
            with g.one_verdict("INSUFFICIENT_SCOPE"):
                a = g.curl(token=token)
            assert_refused(g, a, 403, n)
            assert a.fields["www-authenticate"] == [
                'Bearer realm="jeton", error="insufficient_scope", '
                'scope="orders:read orders:export"']


@EVERY
def test_the_environment_of_the_policy(name, configured):
    with a_gate(name, *configured) as g:
        live = g.site.create("x", "--env", "live")
        other = g.site.create("x", "--env", "prod")
        _, fields = got(g.curl(token=live))
        assert fields["x-jeton-env"] == ["live"]
        n = len(g.service.seen)
        with g.one_verdict("WRONG_ENVIRONMENT"):
            a = g.curl(token=other)
        assert_refused(g, a, 401, n)
        assert a.fields["www-authenticate"] == [INVALID]


@EVERY
def test_the_cost_of_the_policy(name, configured):
    with a_gate(name, *configured, policy="heavy") as g:
        token = g.site.create("x", "--rate", "7/h")
        assert [g.curl(token=token).status for _ in range(3)] == \
            [200, 200, 429]


@EVERY
def test_the_credentials_of_the_policy(name, configured):
    with a_gate(name, *configured, policy="keys") as g:
        token = g.site.create("x", "--owner", "me")
        for args in (("-H", f"X-API-Key: {token}"), ("-u", f"git:{token}")):
            _, fields = got(g.curl(*args))
            assert fields["x-jeton-owner"] == ["me"]
        n = len(g.service.seen)
        for args in ((), ("-H", f"X-API-Key: {token[:-1]}"),
                     ("-u", f"{token}:git"),
                     ("-H", f"Authorization: Bearer {token}"),
                     ("-u", f"git:{token}", "-H", f"X-API-Key: {token}")):
            assert_refused(g, g.curl(*args), 401, n)


@EVERY
def test_a_policy_that_there_is_not_lets_nothing_through(name):
    with a_gate(name, policy="nosuch") as g:
        a = g.curl(token=g.site.create("x"))
        assert a.status in (404, 503), a
        assert g.service.seen == []
