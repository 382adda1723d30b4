"""The history checker behind every crash, growth, compaction and rotation.

A History belongs to a site. It notes what the admin tool acknowledged, with
the times at which the command was begun and was seen to end, and lets two
clients, one at each door, ask about all those values over and over while the
test goes on (they only look: COST 0). At the end everything is held against
everything, by one clock:

  VALID	for a request begun after an acknowledged revoke, or after a
		suspension that nobody has begun to take back
  UNKNOWN	for a request begun after an acknowledged creation
  VALID	for a request begun after somebody was told REVOKED

A request that gets no answer counts for nothing: workers and keepers die.
"""
import re
import socket
import threading
import time
from collections import namedtuple

import rig

BATCH, PAUSE_S, VALUES_MAX = 48, 0.01, 400
WORD = re.compile(rb'"(%s)"' % "|".join(rig.WORDS).encode())

Seen = namedtuple("Seen", "token word begin end door")
Ack = namedtuple("Ack", "what begin end")


class History:
    def __init__(self, site):
        self.site, self.over = site, threading.Event()
        self.tokens, self.acks, self.seen = [], {}, []
        self.threads = [threading.Thread(target=self._ask, args=door, daemon=True)
                        for door in ((self._resp, "resp"), (self._http, "http"))]
        for t in self.threads:
            t.start()

    # ---- what was acknowledged ----

    def _note(self, key, what, begin, end):
        self.acks.setdefault(key, []).append(Ack(what, begin, end))

    def values(self, text, begin, end):
        """Values that a command gave out when it ended well."""
        for token in rig.VALUE.findall(text):
            self._note(token[:24], "created", begin, end)
            if len(self.tokens) < VALUES_MAX:
                self.tokens.append(token)

    def done(self, args, rc, out, begin, end):
        """A command of the admin tool has ended."""
        args = [str(a) for a in args]
        verb, ids = args[0] if args else "", [a[:24] for a in args[1:]
                                              if re.fullmatch(r"[a-z]{2,4}_\w{18,}", a)]
        if verb in ("resume", "purge"):  # begun, acknowledged or not
            for i in ids or ["*"]:
                self._note(i, verb, begin, end)
        if rc != 0:
            return
        if verb in ("create", "rotate", "import"):
            self.values(out, begin, end)
        if verb in ("revoke", "suspend"):
            for i in ids:
                self._note(i, verb, begin, end)

    # ---- what was told ----

    def _resp(self, tokens, c):
        c = c or self.site.client(timeout=5)
        begin = time.monotonic()
        c.raw(b"".join(rig.encode("VERIFY", t, "COST", 0) for t in tokens))
        got = [c.read() for _ in tokens]
        end = time.monotonic()
        return c, [(rig.verdict(r).word if isinstance(r, list) else "-",
                    begin, end) for r in got]

    def _http(self, tokens, c):
        if c is None:
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(5)
            c.connect(str(self.site.http))
        told = []
        for t in tokens[:8]:
            body = b'{"token":"%s","cost":0}' % t.encode()
            begin = time.monotonic()
            c.sendall(b"POST /v1/verify HTTP/1.1\r\nHost: h\r\n"
                      b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            word = WORD.search(self._answer(c))
            told.append((word[1].decode() if word else "-", begin,
                         time.monotonic()))
        return c, told

    @staticmethod
    def _answer(c):
        data, n = b"", None
        while n is None or len(data) < n:
            got = c.recv(65536)
            if not got:
                raise rig.Closed
            data += got
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                length = re.search(rb"\r\nContent-Length: *(\d+)", data[:end])
                n = end + 4 + int(length[1])
        return data

    def _ask(self, ask, door):
        c, at = None, 0
        while not self.over.wait(PAUSE_S):
            tokens = self.tokens[at:at + BATCH]
            at = at + (BATCH if door == "resp" else 8)
            if not tokens:
                at = 0
                continue
            try:
                c, told = ask(tokens, c)
            except (OSError, rig.Closed, AssertionError, TypeError):
                if c:
                    (c.close if hasattr(c, "close") else c.sock.close)()
                c = None
                continue
            self.seen += [Seen(t, *w, door) for t, w in zip(tokens, told)]

    # ---- do they agree? ----

    def _wrong(self, s, refused):
        acks = self.acks.get(s.token[:24], []) + self.acks.get("*", [])

        def before(what):
            return [a for a in acks if a.what == what and a.end < s.begin]
        if s.word == "UNKNOWN":
            return before("created") and not any(
                a.what == "purge" and a.begin < s.end for a in acks)
        if s.word != "VALID":
            return False
        if before("revoke") or s.begin > refused.get(s.token, s.begin):
            return True
        suspended = max((a.end for a in before("suspend")), default=None)
        return suspended is not None and not any(
            a.what == "resume" and a.begin < s.end and a.end > suspended
            for a in acks)

    def check(self):
        """How many verdicts were held against how many changes."""
        self.over.set()
        for t in self.threads:
            t.join(10)
        refused = {}
        for s in self.seen:
            if s.word == "REVOKED":
                refused[s.token] = min(s.end, refused.get(s.token, s.end))
        wrong = [s for s in self.seen if self._wrong(s, refused)]
        assert not wrong, (len(wrong), wrong[0], self.acks[wrong[0].token[:24]])
        return (f"{len(self.seen)} verdicts against "
                f"{sum(map(len, self.acks.values()))} changes")
