"""Where io_uring is forbidden: epoll, said once, with the same answers."""
import random
import re
import time

import pytest

import rig
from rig import encode, fd_count, lines

if rig.NO_RING:
    pytest.skip("under another tracer", allow_module_level=True)

REFUSALS = ["EPERM", "ENOSYS", "ENOMEM"]


def without_ring(error="EPERM"):
    return rig.strace("io_uring_setup") + [
        "--seccomp-bpf", "-e", f"inject=io_uring_setup:error={error}"]


def told(daemon):
    return [x for x in lines(daemon.log()) if "epoll" in x or "io_uring" in x]


@pytest.mark.parametrize("error", REFUSALS)
def test_io_uring_refused_is_told_once_and_all_works(site, error):
    daemon = site.start("--workers", "2", wrapper=without_ring(error))
    [line] = told(daemon)
    assert "epoll" in line and error in line, line
    token = site.create()
    assert site.word(token) == "VALID"
    assert site.word(rig.other_secret(token)) == "UNKNOWN"
    site.revoke(token)
    assert site.word(token) == "REVOKED"
    assert site.status()["backend"] == "epoll"
    assert site.status()["ring"] == "none"
    with site.client() as c:
        assert c.info()["backend"] == "epoll"
    assert "Backend" in site.cli("status").out or \
        "epoll" in site.cli("status").out
    with open(daemon.log_path, "rb") as f:
        assert len(told(daemon)) == 1, f.read()


@pytest.mark.parametrize("error", REFUSALS)
def test_a_ring_that_was_asked_for_and_is_refused_is_told_in_one_line(site,
                                                                      error):
    token = site.create()
    daemon = site.start("--backend", "uring", wait=False,
                        wrapper=without_ring(error))
    assert daemon.process.wait(20) == 71
    said = lines(daemon.log())
    assert len(said) == 1 and "io_uring" in said[0], said
    assert not site.sock.exists()
    site.start("--workers", "1")
    assert site.word(token) == "VALID"


@pytest.mark.parametrize("error", ["EPERM", "EINVAL"])
def test_a_ring_whose_operations_cannot_be_probed_is_none(site, error):
    """Also one that may be made, but not furnished."""
    daemon = site.start(wrapper=rig.strace("io_uring_register") + [
        "--seccomp-bpf", "-e", f"inject=io_uring_register:error={error}"])
    assert site.status()["backend"] == "epoll"
    assert len(told(daemon)) == 1


def test_epoll_that_was_asked_for_is_not_complained_about(site):
    daemon = site.start("--backend", "epoll")
    assert site.status()["backend"] == "epoll"
    assert told(daemon) == []


def test_a_ring_is_restricted_and_says_so(site):
    site.start("--workers", "2")
    status = site.status()
    if status["backend"] == "epoll":
        pytest.skip("no io_uring here")
    assert (status["backend"], status["ring"]) == ("io_uring", "restricted")
    with site.client() as c:
        assert c.info()["backend"] == "io_uring"


# ---- calls that fail ----

@pytest.mark.parametrize("call, backend, errors", [
    ("io_uring_enter", "uring",
     ["EBADF", "EINTR", "EAGAIN", "EBUSY", "ENOMEM"]),
    ("epoll_wait", "epoll", ["EBADF", "EINTR", "ENOMEM"]),
    ("epoll_ctl", "epoll", ["ENOMEM", "ENOSPC"])])
def test_a_call_of_the_loop_that_fails_at_any_time_hurts_nobody_for_long(
        site, call, backend, errors):
    """The worker goes on, or another one is started."""
    token = site.create()
    for error in errors:
        # strace counts for each worker: it must get to answer at all
        for k in (20, 60) if error in ("EBADF", "ENOMEM") else (1, 2, 5, 20):
            # to the sandbox a call that strace takes away is a forbidden one
            daemon = site.start(
                "--workers", "1", "--backend", backend, "--insecure-debug",
                wait=False,
                wrapper=rig.inject(call, f"error={error}:when={k}..{k + 1}"))

            def is_valid():
                try:
                    return site.word(token) == "VALID"
                except (OSError, rig.Closed, AssertionError):
                    return False
            for _ in range(5):
                rig.until(is_valid, 20, f"{call} {error} at {k}: an answer",
                          step_s=0.01)
            assert daemon.process.poll() is None, daemon.log()
            site.signal_keeper(rig.signal.SIGTERM)
            assert daemon.process.wait(20) == 0


def test_who_is_idle_for_too_long_is_closed_only_when_asked_for(site):
    site.start("--idle-s", "1")
    with site.client() as idle, site.client() as busy:
        assert idle("PING") == busy("PING") == "PONG"
        for _ in range(9):
            time.sleep(0.25)
            assert busy("PING") == "PONG"
        assert idle.is_closed()


# ---- both, byte for byte ----

def pieces(rng, tokens):
    """One connection's life: what it sends, in which pieces."""
    kinds = [
        lambda: encode("VERIFY", rng.choice(tokens)),
        lambda: encode("VERIFY", rng.choice(tokens), "SCOPE", "a:b"),
        lambda: encode("MVERIFY", 3, *rng.choices(tokens, k=3)),
        lambda: encode("ECHO", rng.randbytes(rng.randrange(2000))),
        lambda: encode("PING", "%x" % rng.getrandbits(60)),
        lambda: b"PING %d\r\n" % rng.getrandbits(60),
        lambda: encode("NOSUCH", "x" * rng.randrange(100)),
        lambda: b"*0\r\n" * rng.randrange(20),
        lambda: encode("ECHO", "y" * 4096) * rng.randrange(60),
        lambda: b"$7\r\ngarbage\r\n" if rng.random() < 0.05 else b"\r\n",
        lambda: rng.randbytes(30) if rng.random() < 0.05 else b"\r\n",
        lambda: encode("QUIT") if rng.random() < 0.1 else b"\r\n",
    ]
    data = b"".join(rng.choice(kinds)() for _ in range(rng.randrange(1, 40)))
    if rng.random() < 0.2:
        data = data[:rng.randrange(len(data) + 1)]
    at = 0
    while at < len(data):
        n = rng.choice([1, 3, 50, 1000, 100000])
        yield data[at:at + n]
        at += n


def lives(site, tokens, seed, n):
    """All that each of N connections was answered, to its last byte."""
    answers = []
    for i in range(n):
        rng = random.Random(f"{seed}-{i}")
        with site.client() as c:
            c.sock.setblocking(False)
            got = b""

            def read():
                nonlocal got
                try:
                    got += c.sock.recv(1 << 20)
                except BlockingIOError:
                    pass

            try:
                for piece in pieces(rng, tokens):
                    while piece:
                        try:
                            piece = piece[c.sock.send(piece):]
                        except BlockingIOError:
                            time.sleep(0.0005)
                        read()
                c.sock.shutdown(rig.socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass
            c.sock.settimeout(10)
            # what is left of four years passes meanwhile
            answers.append(re.sub(rb":1\d{8}\r\n", b":N\r\n",
                                  got + c.drain()))
    return answers


def test_same_streams_get_the_same_bytes_over_both_backends(
        site, record_property):
    seed = 20260
    answers = {}
    tokens = None
    for backend in ("auto", "epoll"):
        daemon = site.start("--workers", "1", "--backend", backend)
        if backend == "auto" and site.status()["backend"] == "epoll":
            pytest.skip("no io_uring here")
        tokens = tokens or [
            site.create("one", "--expires", "never"), site.create("two", "--expires", "never"),
            site.create("s", "--expires", "never", "--scope", "a:b"), "jt_live_x", "",
            "x" * 64]
        before = fd_count(daemon.worker_pids()[0])
        answers[backend] = lives(site, tokens, seed, 300)
        rig.until(lambda: fd_count(daemon.worker_pids()[0]) <= before, 5,
                  "descriptors as before")
        daemon.stop()
    n_bytes = sum(map(len, answers["auto"]))
    record_property("figure", f"seed {seed}, {len(answers['auto'])} "
                    f"connections, {n_bytes} bytes of replies, the same")
    for i, (a, b) in enumerate(zip(*answers.values())):
        assert a == b, f"connection {i} of seed {seed}"
    assert n_bytes > 1000000
