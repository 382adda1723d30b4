"""A crowd that is silent, slow or talks garbage leaves a good client alone."""
import multiprocessing
import os
import random
import resource
import socket
import statistics
import time

import pytest

import rig
from rig import encode

LONG = "JETON_TORTURE" in os.environ
IDLE, SLOW, GARBAGE = 9000, 500, 500
SLICE_S = float(os.environ.get("CROWD_SLICE_S", 1.0))
EACH_S = 4  # a byte, or a line of garbage
PAIRS = int(os.environ.get("CROWD_PAIRS", 5 if LONG else 2))


def connect(path, n):
    found = []
    for _ in range(n):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.setblocking(False)
        found.append(s)
    return found


def talk(s, data):
    """False: it was closed."""
    try:
        s.send(data)
        while s.recv(65536):
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def crowd(path, link):
    """Until told to leave; each of the slow and of the garbage acts once in
    EACH_S, and comes again when it was closed."""
    rng = random.Random(7)
    command = encode("VERIFY", "x" * 64)
    while link.recv() == "come":
        idle = connect(path, IDLE)
        slow = connect(path, SLOW)
        garbage = connect(path, GARBAGE)
        for s in idle:  # not for want of a first byte
            s.send(encode("PING"))
        link.send("here")
        at, again = 0, 0
        while not link.poll(0.001):
            for group, data in ((slow, command[at // SLOW % 90:][:1] or b"\r"),
                                (garbage, rng.randbytes(100) + b"\r\n")):
                i = at % len(group)
                if not talk(group[i], data):
                    group[i].close()
                    group[i] = connect(path, 1)[0]
                    again += 1
            at += 1
            time.sleep(EACH_S / SLOW)
        lost = sum(not talk(s, b"") for s in rng.sample(idle, 100))
        for s in idle + slow + garbage:
            s.close()
        link.recv()
        link.send((again, lost))


def p99_us(site, token):
    request = encode("VERIFY", token)
    took = []
    with site.client() as c:
        end = time.monotonic() + SLICE_S
        while (begin := time.monotonic()) < end or len(took) < 200:
            c.sock.send(request)
            reply = c.sock.recv(4096)
            took.append(time.monotonic() - begin)
            assert b"VALID" in reply[:20], reply
    return statistics.quantiles(took, n=100)[98] * 1e6


@pytest.mark.parametrize("backend", ["auto", "epoll"])
def test_nine_thousand_idle_and_a_thousand_bad_ones_do_not_slow_a_good_one(
        site, backend, record_property):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files < IDLE + SLOW + GARBAGE + 200:
        pytest.skip(f"the limit of open files is {files}")
    site.start("--workers", "1", "--backend", backend,
               "--connections", "12000")
    token = site.create()
    link, theirs = multiprocessing.Pipe()
    driver = multiprocessing.get_context("fork").Process(
        target=crowd, args=(str(site.sock), theirs), daemon=True)
    driver.start()
    quiet, crowded, again = [], [], 0
    p99_us(site, token)
    for _ in range(PAIRS):
        quiet.append(p99_us(site, token))
        link.send("come")
        assert link.poll(60) and link.recv() == "here"
        # of the garbage, those are out whose turn to come again is not yet
        rig.until(lambda: site.status()["workers"][0]["connections"] >=
                  IDLE + SLOW + GARBAGE * 0.3, 30, "all are served")
        crowded.append(p99_us(site, token))
        link.send("go")
        came_again, lost = link.recv()
        again += came_again
        assert lost == 0, "idle ones were closed"
        rig.until(lambda: site.status()["workers"][0]["connections"] == 0,
                  10, "all have left")
    link.send("end")
    driver.join(10)
    q, c = statistics.median(quiet), statistics.median(crowded)
    figure = (f"{site.status()['backend']}: {IDLE} idle, {SLOW} slow, "
              f"{GARBAGE} garbage ({again} came again): p99 {c:.0f} us, quiet "
              f"{q:.0f} us, ratio {c / q:.2f} (medians of {PAIRS})")
    print("crowd:", figure)
    record_property("figure", figure)
    # beside other tests no time means much: here only that it is no stall
    assert c <= (2 if LONG else 20) * q * rig.PATIENCE
