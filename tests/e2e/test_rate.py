"""Rate limits are exact: never one request more, hardly one less."""
import multiprocessing
import time

import pytest

import rig


def hammer(sock, token, seconds, batch, results):
    """Ask without pause; [(sent, answered, admitted)] by the one clock."""
    class Here:
        pass
    here = Here()
    here.sock = sock
    admitted, first, last = 0, None, None
    request = rig.encode("VERIFY", token) * batch
    with rig.Resp(here) as c:
        first = time.monotonic()
        while time.monotonic() - first < seconds:
            c.raw(request)
            for _ in range(batch):
                admitted += c.read()[0] == b"VALID"
            last = time.monotonic()
    results.put((first, last, admitted))


# the short ones are about the upper bound: their ends weigh too much
@pytest.mark.parametrize("rate,burst,seconds,batch,least", [
    (100, 10, 10, 4, 0.99), (1000, 100, 2, 16, 0.9), (7, 200, 2, 1, 0.9)])
def test_admitted_is_burst_and_rate_and_no_more(served2, rate, burst, seconds,
                                                batch, least):
    token = served2.create("x", "--rate", f"{rate}/s", "--burst", burst)
    results = multiprocessing.Queue()
    clients = [multiprocessing.Process(
        target=hammer, args=(served2.sock, token, seconds, batch, results))
        for _ in range(4)]
    for p in clients:
        p.start()
    got = [results.get(timeout=seconds + 30) for _ in clients]
    for p in clients:
        p.join()
    workers = [w for w in served2.status()["workers"] if w["door"] == "resp"]
    assert all(w["accepted"] >= 1 for w in workers), "one worker did it all"
    t = max(last for _, last, _ in got) - min(first for first, _, _ in got)
    admitted, most = sum(n for _, _, n in got), burst + rate * t
    assert admitted <= most, f"{admitted} of {most:.1f} in {t:.3f} s"
    assert admitted >= least * most - 1, f"{admitted} of {most:.1f}"
