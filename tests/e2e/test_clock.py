"""The wall clock set back revives nothing, also over a restart."""
import json
import re
import time

import pytest

import rig

pytestmark = pytest.mark.skipif(
    rig.ASAN, reason="the sanitizer will not come behind another library")
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


def start_under(site, clock):
    """A daemon whose clock is off by what the file CLOCK says at any time."""
    clock.write_text("+0")
    env = {**at(site, ""), "FAKETIME_TIMESTAMP_FILE": str(clock),
           "FAKETIME_NO_CACHE": "1"}
    del env["FAKETIME"]
    # inside the sandbox nobody could read that file any more
    return site.start("--workers", "1", "--insecure-debug", env=env)


def test_quota_used_up_while_the_clock_was_years_ahead_comes_back(site):
    clock = site.root / "clock"
    start_under(site, clock)
    token = site.create("x", "--expires", "never", "--quota", "2/15min")
    clock.write_text("+700d")
    assert [site.word(token) for _ in range(3)] == [
        "VALID", "VALID", "QUOTA_EXCEEDED"]
    clock.write_text("+0")
    assert site.word(token) == "QUOTA_EXCEEDED"  # not refilled by that
    clock.write_text("+15m")
    assert [site.word(token) for _ in range(3)] == [
        "VALID", "VALID", "QUOTA_EXCEEDED"]


def test_expired_token_stays_expired_over_an_upgrade(site):
    """Also what the mark has gained since it was kept last, up to a minute."""
    clock = site.root / "clock"
    daemon = start_under(site, clock)
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


def test_tool_and_daemon_agree_on_what_has_expired(site):
    """With the clock behind the mark, `list` and `show` say what a worker
    says, with a sidecar (its mark) and without one (the anchor's)."""
    site.start("--workers", "1")
    token, lasting = site.create("a", "--expires", "1h"), site.create("b")
    site.daemons[-1].stop()
    site.start("--workers", "1", env=at(site, "+2h"))
    assert site.word(token) == "EXPIRED"
    site.daemons[-1].stop()
    for serving in (False, True):
        if serving:
            site.start("--workers", "1")
            assert site.word(token) == "EXPIRED"
        status = {x["id"]: x["status"] for x in site.list()}
        assert status == {token[:24]: "Expired", lasting[:24]: "Active"}
        shown = json.loads(site.cli("show", token[:24], "--json").out)
        assert shown["status"] == "Expired"
        assert token[:24] in site.cli("list", "--status", "expired",
                                      "--json").out
        assert token[:24] not in site.cli("expiring", "--within", "30d",
                                          "--json", rc=None).out


def test_the_clock_may_stand_anywhere_and_nothing_expired_comes_back(
        site, record_property):
    """Starts from a second to ten years off either way, in a leap second's
    neighbourhood, in 2038 and 2106, and before the journal was made: no
    expired token works again, and no time is told as negative."""
    site.start("--workers", "1")
    token, lasting = site.create("a", "--expires", "1h"), site.create("b")
    site.daemons[-1].stop()
    site.start("--workers", "1", env=at(site, "+2h"))
    site.daemons[-1].stop()
    whens = ["-1s", "+1s", "-1h", "-3650d", "+1d", "+3650d",
             "@2016-12-31 23:59:58", "@2000-01-01 00:00:00",
             "@2038-01-19 03:14:06", "@2106-02-07 06:28:14",
             "@1970-01-02 00:00:00"]
    for when in whens:
        site.start("--workers", "1", env=at(site, when))
        v = site.verify(token)
        assert v.word == "EXPIRED", (when, v)
        assert v.expires_in_s <= 0 and v.remaining >= -1, (when, v)
        far = when in ("+3650d",) or when[1:5] in ("2038", "2106")
        v = site.verify(lasting)
        assert v.word == ("EXPIRED" if far else "VALID"), (when, v)
        assert far or 0 < v.expires_in_s <= 91 * 86400, (when, v)
        text = site.cli("show", token[:24], env=at(site, when)).out
        assert not re.search(r": -", text), (when, text)
        site.daemons[-1].stop()
    site.start("--workers", "1")  # the far ones were not believed at once
    assert site.word(token) == "EXPIRED" and site.word(lasting) == "VALID"
    record_property("figure", f"{len(whens)} clocks, 0 revived")
