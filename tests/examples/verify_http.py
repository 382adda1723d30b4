"""Verify a token over the HTTP door, with the standard library alone.

    python3 verify_http.py [SCOPE...] <token

The value comes by standard input or in JETON_TOKEN. wsgi.py and asgi.py use
verify() too. Exit status: 0 VALID, 1 refused, 3 nobody to ask.
"""
import json
import os
import re
import socket
import sys
from http.client import HTTPConnection, HTTPException

DOOR = os.environ.get("JETON_HTTP", "/run/jeton/jeton-http.sock")
FIELDS = ("WWW-Authenticate", "Retry-After", "RateLimit", "RateLimit-Policy")


class Door(HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(DOOR)


def bearer(authorization):
    """The token in that header's value; two of them are no token of ours."""
    found = re.fullmatch(r"(?is)bearer +(.*)", authorization)
    return found[1] if found else ""


def verify(token, *scopes):
    """(status, the answer, fields to pass on); in doubt 503, never 200."""
    door = Door("localhost", timeout=1)
    try:
        body = json.dumps({"token": token, "scopes": scopes})
        door.request("POST", "/v1/verify", body,
                     {"Content-Type": "application/json"})
        reply = door.getresponse()
        answer = json.load(reply)
    except (OSError, HTTPException, ValueError) as error:
        print(f"jeton: the sidecar cannot be asked: {error!r}", file=sys.stderr)
        return 503, {"code": "UNREACHABLE",
                     "detail": "tokens cannot be verified right now"}, \
            [("Retry-After", "1")]
    finally:
        door.close()
    fields = [(f, reply.headers[f]) for f in FIELDS if f in reply.headers]
    return reply.status, answer, fields


def main():
    token = os.environ.get("JETON_TOKEN")
    if token is None:
        token = sys.stdin.read().removesuffix("\n")
    status, answer, fields = verify(token, *sys.argv[1:])
    if status == 200:
        print(answer["verdict"], status, answer["id"], dict(fields))
        return 0
    print(f"refused: {answer['code']} {status}: {answer['detail']}",
          dict(fields), file=sys.stderr)
    return 3 if status == 503 else 1


if __name__ == "__main__":
    sys.exit(main())
