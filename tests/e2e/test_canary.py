"""A value is shown once, to the one who made it, and nowhere else: not on
disk, not in a log, not in a message, not on a command line."""
import json
import mmap
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

import rig
from rig import verdict


def needles(token):
    """Pieces that only the value has; one of them anywhere is a leak."""
    secret = token[24:]
    return [secret[i:i + 10].encode() for i in (0, 10, 20, 30)]


def assert_clean(data, tokens, where):
    data = data if isinstance(data, bytes) else data.encode()
    for token in tokens:
        for needle in needles(token):
            assert needle not in data, f"{where} holds a secret"


class ArgvWatch(threading.Thread):
    """Reads every process' command line over and over."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.done = set(), False

    def run(self):
        while not self.done:
            for pid in os.listdir("/proc"):
                if pid.isdigit():
                    try:
                        self.seen.add(Path(f"/proc/{pid}/cmdline")
                                      .read_bytes())
                    except OSError:
                        pass


def test_a_value_is_nowhere_but_in_its_one_line(site):
    watch = ArgvWatch()
    watch.start()
    daemon = site.start("--workers", "2")
    tokens = site.bulk(200)
    done = site.cli("create", "canary", "--rate", "5/s")
    tokens.append(done.out.strip())
    with site.client() as c:
        for t in tokens:
            assert c.verify(t).word == "VALID"
            c("VERIFY", rig.mistyped(t, 30))
            c("VERIFY", t[:50])
            c("VERIFY", t + "\n")
        c("MVERIFY", len(tokens), *tokens)
        for _ in range(9):
            c("VERIFY", tokens[-1])
        c.raw(b"*1\r\n$4\r\n" + tokens[0].encode())  # broken: is it logged?
        assert_clean(c.drain(), tokens, "a reply")
    for t in tokens[:5]:
        site.cli("verify", input=t)
        site.cli("verify", input=t[:60], rc=1)
        site.cli("show", t[:24])
        site.revoke(t)
    leak = site.root / "leak"  # whole, cut, mistyped, an id with another
    leak.write_text(" ".join((tokens[5], tokens[6][:50],
                              rig.mistyped(tokens[7], 40),
                              rig.other_secret(tokens[8]))))
    site.cli("revoke", "--leaked", leak)
    assert site.word(tokens[5]) == "REVOKED"
    last = tokens[-1][:24]
    for verb in ("list", "list --long", "expiring --within 1y", "top",
                 "unused --days 0", f"why {last}", f"history {last}", "audit",
                 "notify run --thresholds 90", "notify run",
                 "journal tail", "journal dump", "status", "journal compact",
                 "audit --since 1h"):
        site.cli(*verb.split(), rc=None)
        site.cli(*verb.split(), "--json", rc=None)
    os.kill(daemon.worker_pids()[0], 11)  # a crash, with its log line
    rig.until(lambda: len(daemon.worker_pids()) == 2, 5, "worker back")
    assert daemon.stop() == 0
    site.start("--workers", "1").stop()
    watch.done = True
    watch.join()

    files = [p for d in (site.data, site.run) for p in d.rglob("*")
             if p.is_file()] + list(site.root.glob("log*"))
    assert {"journal", "anchor", "log1"} <= {p.name for p in files}
    for path in files:
        assert_clean(path.read_bytes(), tokens, path.name)
    for args, (_, out, err) in site.said:
        assert_clean(err, tokens, f"stderr of {args[0]}")
        if args[:2] != ("create", "canary"):
            assert_clean(out, tokens, f"stdout of {args[0]}")
    assert any(b"jetond" in line for line in watch.seen)  # it did look
    for line in watch.seen:
        assert_clean(line, tokens, "a command line")
    cores = [p for p in Path(".").glob("core*") if p.is_file()]
    assert not cores


@pytest.mark.skipif(rig.ASAN, reason="sanitizers need to look into it")
def test_processes_that_see_values_cannot_be_dumped(served):
    # the kernel gives /proc/PID of a process that is not dumpable to root
    for pid in served.processes():
        assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
    if os.geteuid() == 0:  # as another uid, so that the owner could differ
        probe = ["setpriv", "--reuid=65534", "--regid=65534",
                 "--clear-groups"]
        with rig.a_site() as s:
            os.chown(s.root, 65534, 65534)
            s.start("--workers", "1", wrapper=probe)
            for pid in s.processes():
                assert Path(f"/proc/{pid}/environ").stat().st_uid == 0


PIECE, PAGE = 1 << 18, mmap.PAGESIZE


def memory_of(pid):
    """What it has in memory or in swap: (where, bytes), pieces that overlap."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", 0) as mem, \
            open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
        for line in maps:
            span, rights, *rest = line.split()
            low, high = (int(x, 16) for x in span.split("-"))
            if not rights.startswith("r") or "[v" in line:
                continue
            for at in range(low, high, PIECE):
                pages.seek(at // PAGE * 8)
                flags = pages.read(min(PIECE, high - at) // PAGE * 8)[7::8]
                if not flags or max(flags) < 0x40:
                    continue
                mem.seek(at)
                try:
                    piece = mem.read(min(PIECE + 64, high - at))
                except OSError:
                    continue  # beyond a file's end
                yield f"{span} {' '.join(rest[3:])}", piece


def found_in(pid, tokens):
    wanted = {needle: t for t in tokens for needle in needles(t)}
    return {(where, token[:24]) for where, piece in memory_of(pid)
            for needle, token in wanted.items() if needle in piece}


def over_http(sock, token, body=None):
    head = f"{'POST' if body else 'GET'} " \
        f"{'/v1/verify' if body else '/auth/default'} HTTP/1.1\r\nHost: x\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: " \
        f"{len(body)}\r\n\r\n{body}" if body else \
        f"Authorization: Bearer {token}\r\n\r\n"
    sock.sendall(head.encode())
    return sock.recv(65536)


@pytest.mark.skipif(rig.ASAN, reason="it keeps what was freed, and maps "
                    "terabytes")
def test_no_process_has_a_value_in_memory_once_it_has_answered(site):
    """At rest, with the connections still open: what a dump would show."""
    daemon = site.start("--workers", "1", "--insecure-debug",
                        "--connections", "64", "--capacity-max", "1")
    tokens = site.bulk(20)
    [resp] = daemon.worker_pids()
    [http] = daemon.worker_pids(("http",))
    pids = {"keeper": daemon.pid, "worker": resp, "HTTP worker": http}
    [pids["scribe"]] = set(site.everybody()) - set(pids.values())
    # the search finds what is there: a command that is not whole yet
    with site.client() as c, site.client() as held, \
            socket.socket(socket.AF_UNIX) as h:
        held.raw(b"*2\r\n$6\r\nVERIFY\r\n$64\r\n" + tokens[0][:60].encode())
        rig.until(lambda: found_in(resp, tokens[:1]), 5, "the search works")
        held.raw(tokens[0][60:].encode() + b"\r\n")
        assert verdict(held.read()).word == "VALID"
        h.settimeout(10)
        h.connect(str(site.http))
        for t in tokens:
            assert c.verify(t).word == "VALID"  # BLAKE2b, then the memo
            assert c.verify(t).word == "VALID"
            c.raw(f"VERIFY {t}\r\n".encode())
            assert verdict(c.read()).word == "VALID"
            c("VERIFY", rig.mistyped(t, 30))
            c("VERIFY", rig.other_secret(t))
            c("VERIFY", t + "x" * 300)
            c("VERIFY", t, "ENV", t)
            c("PING", t), c("ECHO", t), c("GET", t), c("CLIENT", "SETNAME", t)
            assert b" 200 " in over_http(h, t)[:20]
            assert b" 401 " in over_http(h, rig.other_secret(t))[:20]
            over_http(h, t, body=json.dumps({"token": t}))
        c("MVERIFY", len(tokens), *tokens)
        c.raw(b"".join(rig.encode("VERIFY", t) for t in tokens))
        for _ in tokens:
            assert verdict(c.read()).word == "VALID"
        time.sleep(0.6)  # a tick, and it rests
        for who, pid in pids.items():
            assert not found_in(pid, tokens), who


WRONG_PLACES = [
    ["{t}"], ["{t}", "{t}"], ["GET", "{t}"], ["SET", "{t}", "x"],
    ["HELLO", "{t}"], ["HELLO", "3", "{t}"], ["HELLO", "3", "AUTH", "{t}"],
    ["HELLO", "3", "AUTH", "{t}", "{t}"], ["HELLO", "3", "SETNAME", "{t}"],
    ["HELLO", "2", "AUTH", "default", "{t}", "{t}"],
    ["AUTH", "{t}"], ["AUTH", "{t}", "{t}"], ["AUTH", "default", "{t}", "{t}"],
    ["CLIENT", "{t}"], ["CLIENT", "SETNAME", "{t}"], ["CLIENT", "ID", "{t}"],
    ["CLIENT", "SETINFO", "lib-name", "{t}"], ["CLIENT", "SETINFO", "{t}", "x"],
    ["CLIENT", "NO-EVICT", "{t}"], ["CLIENT", "KILL", "{t}"],
    ["COMMAND", "{t}"], ["COMMAND", "INFO", "{t}"], ["COMMAND", "DOCS", "{t}"],
    ["COMMAND", "COUNT", "{t}"], ["COMMAND", "LIST", "FILTERBY", "{t}"],
    ["CONFIG", "{t}"], ["CONFIG", "GET", "{t}"], ["CONFIG", "SET", "{t}", "x"],
    ["INFO", "{t}"], ["SELECT", "{t}"], ["STATS", "{t}"], ["QUIT", "{t}"],
    ["RESET", "{t}"], ["PING", "{t}", "{t}"], ["ECHO", "{t}", "{t}"],
    ["WHY", "{t}"], ["WHY", "x", "{t}"],
    ["VERIFY", "{t}", "{t}"], ["VERIFY", "x", "{t}", "{t}"],
    ["VERIFY", "{t}", "ENV", "{t}"], ["VERIFY", "{t}", "COST", "{t}"],
    ["VERIFY", "{t}", "SCOPE", "{t}"], ["VERIFY", "{t}", "ENV"],
    ["VERIFY", "{t}", "COST", "1", "COST", "{t}"],
    ["MVERIFY", "{t}"], ["MVERIFY", "{t}", "{t}"], ["MVERIFY", "2", "{t}"],
    ["MVERIFY", "1", "{t}", "{t}"], ["MVERIFY", "1", "{t}", "ENV", "{t}"],
    ["MVERIFY", "1", "x", "SCOPE", "{t}"],
]


@pytest.mark.parametrize("words", WRONG_PLACES, ids=" ".join)
def test_no_reply_repeats_a_value_from_a_wrong_place(shared, words):
    if not hasattr(shared, "canary"):
        shared.canary = shared.create("canary")
    args = [w.format(t=shared.canary) for w in words]
    for inline in (False, True):
        with shared.client() as c:
            c.raw(((" ".join(args) + "\r\n").encode() if inline
                   else rig.encode(*args)) + rig.encode("CLIENT", "INFO") +
                  rig.encode("CLIENT", "LIST") +
                  rig.encode("CLIENT", "GETNAME"))
            c.sock.shutdown(1)
            reply = c.drain()
    assert reply
    assert_clean(reply, [shared.canary], "the reply")


@pytest.mark.parametrize("bytes_", [
    b"*1\r\n$%d\r\n{t}x\r\n", b"*{t}\r\n", b"*1\r\n${t}\r\n", b"*1\r\n{t}\r\n",
    b'"{t}\r\n', b"'{t}\r\n", b"$64\r\n{t}\r\n", b"GET /{t} HTTP/1.1\r\n\r\n",
    b"*2\r\n$6\r\nVERIFY\r\n$4\r\n{t}\r\n"])
def test_no_protocol_error_repeats_a_value(shared, bytes_):
    if not hasattr(shared, "canary"):
        shared.canary = shared.create("canary")
    with shared.client() as c:
        c.raw(bytes_.replace(b"%d", b"64")
              .replace(b"{t}", shared.canary.encode()))
        c.sock.shutdown(1)
        reply = c.drain()
    assert_clean(reply, [shared.canary], "the reply")
    assert_clean(shared.daemons[-1].log(), [shared.canary], "the log")


CLI_WRONG = [
    ["{t}"], ["create", "{t}"], ["create", "my {t}"], ["create", "{t} x", "y"],
    ["create", "x", "--expires", "{t}"], ["create", "x", "--env", "{t}"],
    ["create", "x", "--owner", "{t}"], ["create", "x", "--owner", "a{t}b"],
    ["create", "x", "--rate", "{t}"], ["create", "x", "--rate", "5/{t}"],
    ["create", "x", "--rate", "5/s", "--burst", "{t}"],
    ["create", "x", "--out", "{t}/y"], ["create", "--from", "{t}"],
    ["create", "--from", "{t}", "--out", "y"], ["create", "x", "--{t}"],
    ["create", "x", "--{t}=1"], ["create", "x", "--expires={t}"],
    ["show", "{t}"], ["revoke", "{t}"], ["revoke", "{t}", "--offline"],
    ["revoke", "--offline={t}"], ["verify", "{t}"], ["verify", "--file", "{t}"],
    ["verify", "--cost", "{t}"], ["verify", "--scope", "{t}"],
    ["verify", "--env", "{t}"], ["list", "{t}"], ["status", "{t}"],
    ["journal", "{t}"], ["journal", "check", "{t}"],
    ["journal", "check", "--expect", "{t}"], ["journal", "accept", "{t}"],
    ["journal", "dump", "{t}"], ["help", "{t}"], ["init", "--prefix", "{t}"],
    ["init", "{t}"], ["list", "--data", "{t}"], ["status", "--run", "{t}"],
]


@pytest.mark.parametrize("words", CLI_WRONG, ids=" ".join)
def test_admin_tool_never_repeats_a_value_given_as_argument(shared, words):
    if not hasattr(shared, "canary"):
        shared.canary = shared.create("canary")
    before = shared.journal.read_bytes()
    args = [w.format(t=shared.canary) for w in words]
    done = shared.cli(*args, rc=None, input="", cwd=shared.root)
    assert done.rc in (1, 2, 3, 4) and done.err, done
    assert_clean(done.out + done.err, [shared.canary], "the answer")
    assert shared.journal.read_bytes() == before


@pytest.mark.parametrize("args", [
    ["{t}"], ["--{t}"], ["--{t}=1"], ["--workers", "{t}"],
    ["--workers={t}"], ["--capacity", "{t}"], ["-{t}"]])
def test_daemon_never_repeats_a_value_given_as_argument(site, args):
    token = site.create("canary")
    p = subprocess.run([rig.JETOND, *[a.format(t=token) for a in args]],
                       capture_output=True, env=site.env, timeout=20)
    assert p.returncode == 64
    assert p.stderr
    assert_clean(p.stdout + p.stderr, [token], "the answer")


def test_a_value_in_a_name_of_a_table_is_refused_unseen(served):
    token = served.create("canary")
    for column in ("name", "owner", "expires", "env", "rate", "burst",
                   "quota", "plan", "scopes"):
        table = served.root / f"{column}.csv"
        names = "name" if column == "name" else f"name,{column}"
        cell = token if column == "name" else f"x,{token}"
        table.write_text(f"{names}\n{cell}\n")
        done = served.cli("create", "--from", table, "--out",
                          served.root / "o", rc=2)
        assert f"{column}.csv:2" in done.err
        assert_clean(done.err + done.out, [token], "the answer")
    assert len(served.list()) == 1
