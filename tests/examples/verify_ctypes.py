#!/usr/bin/env python3
"""One token from standard input, verified in this process: jeton.h by ctypes.

    printf %s "$TOKEN" | ./verify_ctypes.py [RUN_DIRECTORY]

JETON_LIBRARY names the library if it is not where the loader looks.
"""
import ctypes as c
import os
import sys


class Options(c.Structure):
    _fields_ = [("size", c.c_uint32), ("n_scopes", c.c_uint32),
                ("scopes", c.POINTER(c.c_char_p)), ("env", c.c_char_p),
                ("cost", c.c_uint64)]


class Verdict(c.Structure):
    _fields_ = [("word", c.c_uint32), ("status", c.c_uint32),
                ("notes", c.c_uint32), ("flags", c.c_uint32),
                ("expires_in_s", c.c_uint64), ("limit", c.c_int64),
                ("remaining", c.c_int64), ("reset_ms", c.c_uint64),
                ("retry_after_ms", c.c_int64), ("applied", c.c_uint64),
                ("missing", c.c_int32), ("id", c.c_char * 28),
                ("owner", c.c_char * 64), ("reserved", c.c_uint64 * 8)]


class Token(c.Structure):
    _fields_ = [("at", c.c_char_p), ("bytes", c.c_size_t)]


VALID = 13
LOOK, ANYHOW = 1, 2
LOOKED, BY_SOCKET = 1, 2


class Jeton:
    """A handle; one thread at a time."""

    def __init__(self, run=None, flags=0):
        self.lib = c.CDLL(os.environ.get("JETON_LIBRARY", "libjeton.so.1"))
        self.lib.jeton_word.restype = c.c_char_p
        self.lib.jeton_strerror.restype = c.c_char_p
        self.lib.jeton_detach.argtypes = [c.c_void_p]
        self.lib.jeton_verify.argtypes = [c.c_void_p, c.c_char_p, c.c_size_t,
                                          c.POINTER(Options),
                                          c.POINTER(Verdict)]
        self.lib.jeton_verify_batch.argtypes = [
            c.c_void_p, c.c_size_t, c.POINTER(Token), c.POINTER(Options),
            c.POINTER(Verdict)]
        self.handle = c.c_void_p()
        self.check(self.lib.jeton_attach(os.fsencode(run) if run else None,
                                         flags, c.byref(self.handle)))

    def check(self, rc):
        if rc:
            raise OSError(-rc, self.lib.jeton_strerror(rc).decode())

    def word(self, verdict):
        return self.lib.jeton_word(verdict.word).decode()

    def options(self, scopes=(), env=None, cost=1):
        names = [s.encode() for s in scopes]
        return Options(c.sizeof(Options), len(names),
                       (c.c_char_p * len(names))(*names),
                       env.encode() if env is not None else None, cost)

    def verify(self, token, **options):
        """(error, verdict)"""
        v = Verdict()
        o = self.options(**options) if options else None
        rc = self.lib.jeton_verify(self.handle, token, len(token),
                                   c.byref(o) if o else None, c.byref(v))
        return rc, v

    def batch(self, tokens, **options):
        """(error, verdicts)"""
        v = (Verdict * len(tokens))()
        rc = self.lib.jeton_verify_batch(
            self.handle, len(tokens),
            (Token * len(tokens))(*((t, len(t)) for t in tokens)),
            c.byref(self.options(**options)), v)
        return rc, list(v)

    def close(self):
        self.lib.jeton_detach(self.handle)
        self.handle = None


if __name__ == "__main__":
    jeton = Jeton(sys.argv[1] if len(sys.argv) > 1 else None)
    error, verdict = jeton.verify(sys.stdin.buffer.read())
    jeton.check(error)
    print(jeton.word(verdict), verdict.status, verdict.id.decode(),
          verdict.owner.decode())
    sys.exit(verdict.word != VALID)
