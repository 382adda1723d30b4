"""Verify a token with redis-py over the Redis door.

    python3 verify_redis.py [SCOPE...] <token

The value comes by standard input or in JETON_TOKEN. Needs redis-py
(Debian: python3-redis). Exit status: 0 VALID, 1 refused, 3 nobody to ask.
"""
import os
import sys

import redis

# A service keeps this object: it holds the connections.
jeton = redis.Redis(
    unix_socket_path=os.environ.get("JETON_SOCK", "/run/jeton/jeton.sock"),
    socket_timeout=1, decode_responses=True)


def verify(token, *scopes):
    """The verdict's eleven fields; redis.RedisError: not VALID either."""
    words = [word for scope in scopes for word in ("SCOPE", scope)]
    return jeton.execute_command("VERIFY", token, *words)


def main():
    token = os.environ.get("JETON_TOKEN")
    if token is None:
        token = sys.stdin.read().removesuffix("\n")
    try:
        word, status, id, expires_in_s, limit, remaining, reset_ms, \
            retry_after_ms, owner, applied, notes = verify(token, *sys.argv[1:])
    except redis.RedisError as error:
        print(f"refused: the sidecar cannot be asked: {error}", file=sys.stderr)
        return 3
    print(word, status, id, f"retry_after_ms={retry_after_ms}", notes)
    return 0 if word == "VALID" else 1


if __name__ == "__main__":
    sys.exit(main())
