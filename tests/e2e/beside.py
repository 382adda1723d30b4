#!/usr/bin/python3
"""Does the HTTP door slow the RESP door more than any other process would that
takes as much of the processors? Prints ratios; not part of the test suite:
`/usr/bin/python3 tests/e2e/beside.py [rounds]`.

RESP at 4 connections, pipeline 1, without pause, in slices. In one half of
them the HTTP door is asked 2,000 times a second over 4 kept connections; in
the other half two strangers burn, in as many small pieces, what the door's
process and its client had used. The slices alternate, and so does which half
comes first."""
import os
import re
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import rig  # noqa: E402

RATE, SLICE_S = 2000, 2

CLIENT = """
import socket, sys, time
path, token, rate = sys.argv[1], sys.stdin.readline().strip(), int(sys.argv[2])
ask = b"GET /auth/default HTTP/1.1\\r\\nHost: x\\r\\n" \\
    b"Authorization: Bearer " + token.encode() + b"\\r\\n\\r\\n"
socks = [socket.socket(socket.AF_UNIX) for _ in range(4)]
for s in socks:
    s.connect(path)
due = time.monotonic()
while True:
    for s in socks:
        s.sendall(ask)
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))
"""
BURNER = """
import sys, time
share, rate = float(sys.argv[1]), int(sys.argv[2])
due = time.monotonic()
while True:
    end = time.thread_time() + share / rate
    while time.thread_time() < end:
        pass
    due += 1 / rate
    time.sleep(max(0, due - time.monotonic()))
"""


def python(code, *args, token=None):
    p = subprocess.Popen([sys.executable, "-c", code, *map(str, args)],
                         stdin=subprocess.PIPE, text=True)
    if token:
        p.stdin.write(token + "\n")
        p.stdin.flush()
    return p


def resp_p99_us(site):
    done = subprocess.run(
        [str(rig.BIN / "jeton-bench"), "load", "--socket", str(site.sock),
         "--tokens", str(site.root / "out"), "--connections", "4",
         "--seconds", str(SLICE_S)], capture_output=True, text=True, check=True)
    return float(re.search(r"p99 ([\d.]+)", done.stdout)[1])


def beside(site, neighbours, watched):
    """p99 of a slice, and what each of those watched used of a processor."""
    time.sleep(0.3)
    before, start = [rig.cpu_s(p) for p in watched], time.monotonic()
    p99 = resp_p99_us(site)
    took = time.monotonic() - start
    used = [(rig.cpu_s(p) - b) / took for p, b in zip(watched, before)]
    for n in neighbours:
        n.kill()
        n.wait()
    return p99, used


def main(rounds):
    with rig.a_site() as site:
        site.start("--workers", "1")
        token = site.create()
        (site.root / "t.csv").write_text(
            "name\n" + "".join(f"t{i}\n" for i in range(10000)))
        site.cli("create", "--from", site.root / "t.csv", "--out",
                 site.root / "out")
        [door] = site.daemons[-1].worker_pids(("http",))
        with_http, with_others, shares = [], [], [0.05, 0.2]

        def http():
            client = python(CLIENT, site.run / "jeton-http.sock", RATE,
                            token=token)
            p99, used = beside(site, [client], [door, client.pid])
            shares[:] = used
            with_http.append(p99)

        def others():
            burners = [python(BURNER, share, RATE) for share in shares]
            p99, used = beside(site, burners, [b.pid for b in burners])
            with_others.append(p99)
            print(f"p99 {with_http[-1]:.1f} us beside HTTP ("
                  f"{shares[0]:.1%} + {shares[1]:.1%} of a core), {p99:.1f} "
                  f"us beside strangers ({used[0]:.1%} + {used[1]:.1%})")

        http()
        with_http.clear()
        for i in range(rounds):
            for f in (http, others):
                f()
        ratios = [a / b for a, b in zip(with_http, with_others)]
        print(f"ratio of medians {statistics.median(with_http) / statistics.median(with_others):.3f}, "
              f"median of ratios {statistics.median(ratios):.3f} "
              f"({min(ratios):.3f}-{max(ratios):.3f}), {rounds} rounds, "
              f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
