"""A client of a protected API that waits as long as it is told, and bounded.

    python3 backoff.py http://127.0.0.1:8000/orders <token

The value comes by standard input or in JETON_TOKEN. After 429 or 503 it waits
what Retry-After says and, so that many clients do not come back at once, a
random part of a span that doubles. Exit status: 0 answered, 1 refused.
"""
import os
import random
import sys
import time
import urllib.request
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError

TRIES, BASE_S, CAP_S, PATIENCE_S = 6, 0.5, 10, 60


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token is for one host; urllib would take it along."""
    def redirect_request(self, *_):
        return None


open_url = urllib.request.build_opener(NoRedirect).open


def told_s(value):
    """Retry-After is a number of seconds or a date."""
    if value.isdecimal():
        return float(value)
    try:
        return max(0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0


def get(url, token):
    request = urllib.request.Request(
        url, headers={"Authorization": f"Bearer {token}"})
    end = time.monotonic() + PATIENCE_S
    for n in range(TRIES):
        try:
            return open_url(request, timeout=10).read()
        except HTTPError as error:
            wait_s = told_s(error.headers.get("Retry-After", "")) + \
                random.uniform(0, min(CAP_S, BASE_S * 2 ** n))
            if error.code not in (429, 503) or n == TRIES - 1 or \
                    time.monotonic() + wait_s > end:
                raise
        print(f"{n + 1}: waiting {wait_s:.1f} s", file=sys.stderr)
        time.sleep(wait_s)


def main():
    token = os.environ.get("JETON_TOKEN")
    if token is None:
        token = sys.stdin.read().removesuffix("\n")
    try:
        sys.stdout.buffer.write(get(sys.argv[1], token))
    except HTTPError as error:
        print(f"gave up: {error.code}, Retry-After:",
              error.headers.get("Retry-After", "none"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
