"""Bodies at the HTTP door: where they end, and when they are decided."""
import re
import time

import pytest

import rig
from test_http import Http, request


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
