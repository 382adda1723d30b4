"""Bodies at the HTTP door: where they end, when they are decided, and what is
left of them."""
import os
import re
import time

import pytest

import rig
from test_http import Http, bearer, field, request


def value(site, name):
    with Http(site) as c:
        text = c.ask(path="/metrics").body.decode()
    return sum(float(v) for v in re.findall(
        rf'^{name}{{door="http"}} (\S+)$', text, re.M))


ENDS = [("Content-Length: 14", "Content-Length: 2"),
        ("Content-Length: 2", "Content-Length: 14"),
        ("Content-Length: 14", "Content-Length: 14"),
        ("Content-Length: 14", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 14"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")]


@pytest.mark.parametrize("ends", ENDS, ids=" and ".join)
def test_body_with_two_ends_is_refused_and_ends_the_connection(shared, ends):
    with Http(shared) as c:
        c.raw(request(*ends, path="/v1/verify", method="POST") +
              b"0\r\n\r\n" + request(path="/livez"))
        a = c.read()
        assert a.status == 400
        assert b"ends" in a.body
        with pytest.raises((rig.Closed, ConnectionResetError)):
            c.read()


def test_time_until_a_body_comes_is_nobodys(site):
    site.start("--workers", "1")
    body = b'{"token": "x"}'
    with Http(site) as c:
        for _ in range(4):
            c.raw(request(f"Content-Length: {len(body)}", path="/v1/verify",
                          method="POST"))
            time.sleep(0.2)
            c.raw(body)
            assert c.read().status == 401
    assert value(site, "jeton_verify_duration_seconds_count") == 4
    assert value(site, "jeton_verify_duration_seconds_sum") < 0.1


def memory(pid):
    with open(f"/proc/{pid}/maps") as maps:
        spans = [line.split()[0] for line in maps
                 if line.split()[1].startswith("rw") and
                 not re.search(r"memfd|\[v", line)]
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for span in spans:
            start, end = (int(x, 16) for x in span.split("-"))
            mem.seek(start)
            yield mem.read(end - start)


def assert_forgotten(site, daemon, tokens):
    for pid in daemon.worker_pids(("http",)):
        for piece in memory(pid):
            for token in tokens:
                assert token[24:].encode() not in piece, pid


CUT = [lambda t: request(bearer(t))[:-2],  # its head is not over
       lambda t: request(bearer(t), "Content-Length: 99", method="POST") +
       b"x" + t.encode(),
       lambda t: request("Content-Length: 99", path="/v1/verify",
                         method="POST") + b'{"token": "' + t.encode()]


@pytest.mark.skipif(rig.ASAN, reason="it keeps what was freed, to watch it")
def test_values_are_gone_with_their_connections(site):
    daemon = site.start("--workers", "1")
    tokens = [site.create(f"t{i}") for i in range(3)]
    for token, cut in zip(tokens, CUT):
        with Http(site) as c:
            c.raw(cut(token))
            time.sleep(0.1)
    time.sleep(0.5)
    if os.geteuid() == 0:  # nobody else may look
        assert_forgotten(site, daemon, tokens)


@pytest.mark.skipif(rig.ASAN, reason="it keeps what was freed, to watch it")
def test_values_are_gone_with_their_requests(site):
    daemon = site.start("--workers", "1")
    tokens = [site.create(f"t{i}") for i in range(6)]
    batch = b'{"tokens": [%s]}' % b", ".join(
        b'{"token": "%s"}' % t.encode() for t in tokens * 100)
    with Http(site) as c:
        c.raw(request(f"Content-Length: {len(batch)}",
                      path="/v1/verify/batch", method="POST"))
        for at in range(0, len(batch), 1000):
            c.raw(batch[at:at + 1000])
            time.sleep(0.002)
        assert c.read().status == 200
        assert field(c.ask(bearer(tokens[0])), "X-Jeton-Verdict") == "VALID"
        assert c.ask().status == 401
    time.sleep(0.5)
    if os.geteuid() == 0:  # nobody else may look
        assert_forgotten(site, daemon, tokens)


@pytest.mark.skipif(rig.ASAN, reason="it keeps what was freed, to watch it")
def test_values_are_gone_from_where_a_growing_body_was(site):
    daemon = site.start("--workers", "1")
    tokens = [site.create(f"t{i}") for i in range(6)]
    conns = [Http(site) for _ in tokens]
    for c, token in zip(conns, tokens):
        c.raw(request("Content-Length: 60000", path="/v1/verify",
                      method="POST") + b'{"token": "' + token.encode())
    for _ in range(10):  # in turns, so that none can grow where it is
        time.sleep(0.02)
        for c in conns:
            c.raw(5000 * b" ")
    for c in conns:
        c.sock.close()
    time.sleep(0.5)
    if os.geteuid() == 0:
        assert_forgotten(site, daemon, tokens)
