#!/usr/bin/python3
"""A million tokens: measures, prints, and fails only at three times what is
promised. Not part of the test suite: `/usr/bin/python3 tests/e2e/million.py
[tokens]`."""
import json
import os
import resource
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import rig  # noqa: E402


def timed(f):
    start = time.monotonic()
    value = f()
    return time.monotonic() - start, value


def cpu_of_children_s():
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


def forget(path):
    """Its pages are not in memory any more."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def memory_mb(site, *args):
    """The most that this jeton ever held."""
    p = subprocess.Popen([rig.JETON, *args], env=site.env,
                         stdout=subprocess.DEVNULL)
    _, status, use = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode == 0
    return use.ru_maxrss / 1024


def main(n):
    failures = []

    def say(what, value, unit, promised):
        ok = value < 3 * promised
        print(f"{what:<34}{value:>10.3f} {unit:<6} promised {promised} {unit}"
              f"{'' if ok else '   FAILED: more than three times that'}")
        if not ok:
            failures.append(what)

    with rig.a_site() as site:
        (site.root / "t.csv").write_text(
            "name,owner\n" + "".join(f"token {i},team {i % 100}\n"
                                     for i in range(n)))
        took, _ = timed(lambda: site.cli(
            "create", "--from", site.root / "t.csv", "--out",
            site.root / "out", timeout=600))
        say("bulk create, no sidecar", took, "s", 10)
        print(f"  of it {cpu_of_children_s():.3f} s of CPU")
        tokens = rig.values(site.root / "out")
        assert len(tokens) == n

        took, daemon = timed(lambda: site.start("--capacity", n))
        say("start to serving", took, "s", 2)
        daemon.stop()
        took, _ = timed(lambda: site.start("--capacity", n))
        say("restart to serving", took, "s", 2)
        print(f"  of it {rig.cpu_s(site.daemons[-1].pid):.3f} s of CPU")

        status = json.loads(site.cli("status", "--json").out)
        say("shared memory a token at capacity",
            status["shared_bytes"] / status["capacity"], "bytes", 175)
        print(f"  capacity {status['capacity']:,}, stored "
              f"{status['tokens']:,}, {status['shared_bytes'] >> 20} MiB")

        took = []
        for t in tokens[::n // 50][:50]:
            s, _ = timed(lambda: site.revoke(t))
            took.append(1000 * s)
            assert site.word(t) == "REVOKED"
        say("revoke, median of 50", statistics.median(took), "ms", 25)
        print(f"  slowest {max(took):.1f} ms, with the flushes of this disk")

        took, _ = timed(lambda: site.cli("journal", "check"))
        print(f"{'journal check':<34}{took:>10.3f} s")
        forget(site.journal)
        took, mb = timed(lambda: memory_mb(site, "list"))
        say("list, cold", took, "s", 4)
        say("its memory", mb, "MB", 400)
        took, mb = timed(lambda: memory_mb(site, "list", "--sort", "uses"))
        print(f"{'list --sort uses':<34}{took:>10.3f} s, {mb:.0f} MB")
        forget(site.journal)
        took, done = timed(lambda: site.cli("list", "--owner", "team 7"))
        say("list --owner, cold", took, "s", 2)
        assert len(done.out.splitlines()) == n // 100
        took, _ = timed(lambda: site.cli("show", tokens[n // 2][:24]))
        say("show", 1000 * took, "ms", 50)
        took, _ = timed(lambda: site.cli("why", tokens[n // 2 + 1][:24]))
        say("why", 1000 * took, "ms", 50)
        took, token = timed(lambda: site.create())
        print(f"{'create one':<34}{1000 * took:>10.3f} ms")
        with site.client() as c:
            words = {c.verify(t).word for t in tokens[1::n // 1000]}
        assert words == {"VALID"}, words

    # with a sidecar that has room: FIT and SYNC for a million at once
    with rig.a_site() as site:
        site.start("--capacity", n)
        (site.root / "t.csv").write_text(
            "name\n" + "".join(f"token {i}\n" for i in range(n)))
        took, _ = timed(lambda: site.cli(
            "create", "--from", site.root / "t.csv", "--out",
            site.root / "out", timeout=600))
        say("bulk create, in force", took, "s", 10)
        [last] = rig.values(site.root / "out")[-1:]
        assert site.word(last) == "VALID"
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000000))
