"""A suspend of hours or years: the boot clock is far on, in a time namespace.

What was left standing is what a keeper starts with, or finds when it wakes;
the meters know no time but the boot clock's, so buckets are full then, and not
fuller. The wall clock is not in such a namespace, and stays.
"""
import shutil
import subprocess
import time

import pytest

import rig

HOURS = {"ten hours": 36000, "forty days": 40 * 86400,
         "ten years": 3650 * 86400, "as far as it goes": 4600000000}


def later(seconds):
    """Run where the machine has been up so much longer."""
    assert shutil.which("unshare"), "unshare: run `make deps-test`"
    return ["unshare", "-T", "--boottime", str(seconds),
            "--monotonic", str(seconds)]


def admitted(c, token):
    n = 0
    while (v := c.verify(token)).word == "VALID":
        n += 1
        assert n <= 20, "fuller than full"
    assert v.word == "RATE_LIMITED" and v.retry_after_ms > 0
    return n


@pytest.mark.parametrize("seconds", HOURS.values(), ids=HOURS)
def test_buckets_are_full_and_not_more_and_deadlines_hold(
        site, seconds, record_property):
    """Started that late: exactly the burst, a silent connection is kept as
    long as any, one with half a command goes at its deadline and not at
    once."""
    site.start("--workers", "1")
    rated = site.create("rated", "--rate", "1/h", "--burst", "10")
    daily = site.create("daily", "--quota", "10/day")
    with site.client() as c:
        assert admitted(c, rated) == 10
        assert c.verify(daily).remaining == 9
    site.daemons[-1].stop()
    site.start("--workers", "1", wrapper=later(seconds))
    with site.client() as silent, site.client() as half:
        began = time.monotonic()
        half.raw(b"*2\r\n$6\r\nVERIFY\r\n")
        with site.client() as c:
            assert admitted(c, rated) == 10
            assert c.verify(rated).reset_ms <= 10 * 3600 * 1000
            assert c.verify(daily).remaining == 8
        site.revoke(daily)
        assert silent.verify(daily).word == "REVOKED"
        assert site.status()["health"] == "ok"
        assert site.status()["uptime_s"] < 60
        if seconds == 36000:
            assert half.is_closed()
            assert 3 < time.monotonic() - began < 12
        assert silent.verify(daily).word == "REVOKED"
    record_property("figure", f"{seconds} s on: 10 of 10 admitted")


@pytest.fixture(scope="module")
def look(tmp_path_factory):
    """A program that attaches, verifies its arguments and waits between."""
    path = tmp_path_factory.mktemp("look")
    path.joinpath("look.c").write_text(LOOK)
    subprocess.run(["gcc", *(["-fsanitize=address,undefined"] if rig.ASAN
                             else []),
                    f"-I{rig.ROOT}/shm", path / "look.c",
                    rig.BIN / "libjeton.a", "-lsodium", "-lxxhash",
                    "-lhiredis", "-o", path / "look"], check=True)
    return path / "look"


def ask(p, token):
    p.stdin.write(token + "\n")
    p.stdin.flush()
    return p.stdout.readline().split()


@pytest.mark.parametrize("keeper_s, reader_s, how", [
    (36000, 36000, "memory"), (0, 36000, "socket"), (36000, 0, "socket")])
def test_a_lease_is_believed_by_its_own_clock_only(site, look, keeper_s,
                                                   reader_s, how):
    """In process with a keeper of the same late clock; with one whose clock is
    hours ahead or behind by asking it; and whose keeper was killed says VALID
    no more, though that lease were hours away."""
    daemon = site.start("--workers", "1", wrapper=later(keeper_s))
    token, gone = site.create(), site.create()
    p = subprocess.Popen([*later(reader_s), look, site.run], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert ask(p, token) == ["VALID", how]
        site.revoke(gone)
        assert ask(p, gone) == ["REVOKED", how]
        site.signal_keeper(rig.signal.SIGKILL)
        time.sleep(0.7)  # the lease was half a second
        assert ask(p, token)[0] == "LOADING"
    finally:
        p.kill()
        p.wait()
        daemon.process.wait(10)


LOOK = """
#include <jeton.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	char token[256];
	struct jeton *handle;
	struct jeton_verdict v;
	int rc = jeton_attach(argv[1], JETON_ANYHOW, &handle);

	if (rc)
		return printf("attach %s\\n", jeton_strerror(rc));
	while (fgets(token, sizeof(token), stdin)) {
		jeton_verify(handle, token, strcspn(token, "\\n"), NULL, &v);
		printf("%s %s\\n", jeton_word(v.word),
		       v.flags & JETON_BY_SOCKET ? "socket" : "memory");
		fflush(stdout);
	}
}
"""
