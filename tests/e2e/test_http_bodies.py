"""Bodies at the HTTP door: where they end."""
import pytest

import rig
from test_http import Http, request

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
