"""The wall clock set back revives nothing, also over a restart."""
import time

import rig

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def at(site, offset):
    assert rig.os.path.exists(FAKETIME), "libfaketime: run `make deps-test`"
    return {**site.env, "LD_PRELOAD": FAKETIME, "FAKETIME": offset,
            "DONT_FAKE_MONOTONIC": "1"}


def test_expired_token_stays_expired_when_the_clock_goes_back(site):
    site.start("--workers", "1")
    token, lasting = site.create("a", "--expires", "1h"), site.create()
    assert site.word(token) == "VALID"
    site.daemons[-1].stop()
    site.start("--workers", "1", env=at(site, "+2h"))
    assert site.word(token) == "EXPIRED"
    assert site.status()["health"] == "ok"
    site.daemons[-1].stop()
    for _ in range(2):
        site.start("--workers", "1")
        assert site.word(token) == "EXPIRED"
        assert site.word(lasting) == "VALID"
        status = site.status()
        assert status["health"] == "red" and "behind" in status["why"]
        assert site.daemons[-1].log().count("behind") == 1
        site.daemons[-1].stop()
    site.start("--workers", "1", env=at(site, "-3650d"))
    assert site.word(token) == "EXPIRED" and site.word(lasting) == "VALID"


def test_clock_once_ten_years_ahead_ends_nothing_for_good(site):
    site.start("--workers", "1")
    token = site.create()
    site.daemons[-1].stop()
    site.start("--workers", "1", env=at(site, "+3650d"))
    assert site.word(token) == "EXPIRED"
    site.daemons[-1].stop()
    site.start("--workers", "1")
    assert site.word(token) == "VALID"
    assert site.status()["health"] == "ok"


def test_expired_token_stays_expired_over_an_upgrade(site):
    """Also what the mark has gained since it was kept last, up to a minute."""
    clock = site.root / "clock"
    clock.write_text("+0")
    env = {**at(site, ""), "FAKETIME_TIMESTAMP_FILE": str(clock),
           "FAKETIME_NO_CACHE": "1"}
    del env["FAKETIME"]
    # inside the sandbox nobody could read that file any more
    daemon = site.start("--workers", "1", "--insecure-debug", env=env)
    token = site.create("a", "--expires", "25s")
    assert site.word(token) == "VALID"
    time.sleep(1)  # the anchor is written
    clock.write_text("+40s")
    rig.until(lambda: site.word(token) == "EXPIRED", 5, "it expires")
    time.sleep(0.5)
    clock.write_text("+0")
    time.sleep(0.5)
    assert site.word(token) == "EXPIRED"
    site.cli("upgrade")
    rig.until(lambda: not rig.alive(daemon.pid), 20, "the older one left")
    assert site.word(token) == "EXPIRED"
    assert "behind" in site.status()["why"] or \
        "insecure" in site.status()["why"]
