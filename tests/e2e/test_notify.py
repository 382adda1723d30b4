"""Expiry notices: each event once, whatever fails."""
import fcntl
import json
import os
import re
import signal
import subprocess
import time

import pytest

import rig
from test_canary import assert_clean


def notify(site, *options, rc=0, **kw):
    """One run: its events."""
    done = site.cli("notify", "run", *options, rc=rc, **kw)
    return [json.loads(x) for x in done.out.splitlines()]


def said(events):
    return sorted((e["name"], e["days"]) for e in events)


def make(site, **expiries):
    return {n: site.create(n, "--expires", e) for n, e in expiries.items()}


def notices(site):
    return [(r["id"], r["days"]) for r in site.dump() if r["type"] == "notice"]


def command(site, script):
    """A shell script that gets an event on stdin; the line it appends."""
    path = site.root / "take.sh"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


def got(site):
    path = site.root / "got"
    return [json.loads(x) for x in path.read_text().splitlines()] \
        if path.exists() else []


APPEND = 'cat >> {}/got\n'


# ---- what is said ----

def test_each_threshold_is_said_once(site):
    make(site, a="12h", b="5d", c="10d", d="20d", e="45d", f="90d", g="never")
    events = notify(site)
    assert said(events) == [("a", 1), ("b", 7), ("c", 14), ("d", 30),
                            ("e", 60)]
    assert notify(site) == []
    assert len(notices(site)) == 5
    site.check()


def test_an_event_says_all_that_is_needed(site):
    t = site.create("CI \"runner\" é", "--expires", "5d", "--owner", "web",
                    "--env", "dev")
    [e] = notify(site)
    [row] = site.list()
    assert list(e) == ["event", "key", "id", "name", "owner", "env",
                       "expires", "days", "status"]
    expires_s = int(e["key"].split(":")[1])
    assert e == {"event": "expiring", "key": f"{t[:24]}:{expires_s}:7",
                 "id": t[:24], "name": "CI \"runner\" é", "owner": "web",
                 "env": "dev", "expires": row["expires"], "days": 7,
                 "status": "active"}
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires_s)) == \
        e["expires"]
    assert_clean(json.dumps(e), [t], "the event")


def test_expired_ones_are_said_once(site):
    make(site, a="1s", b="90d")
    time.sleep(1.2)
    [e] = notify(site)
    assert (e["event"], e["days"], e["status"]) == ("expired", 0, "expired")
    assert notify(site) == []


def test_the_clock_goes_on_and_missed_runs_are_caught_up(site):
    make(site, a="40d")

    def run(days):  # as if so many days were the next threshold
        return said(notify(site, "--thresholds", days))
    assert run("70,60") == [("a", 60)]  # 70 counts as said
    assert run("70,60") == []
    assert run("70") == []
    assert run("70,60,50") == [("a", 50)]
    assert run("50,41,42,43") == [("a", 41)]  # only the most urgent
    assert run("50,43,42,41") == []
    assert run("39") == []
    assert notices(site) == [(site.list()[0]["id"], n) for n in (60, 50, 41)]


def test_another_expiry_starts_anew(site):
    t = make(site, a="5d")["a"]
    assert said(notify(site)) == [("a", 7)]
    site.cli("rename", t[:24], "b")
    site.cli("set", t[:24], "--owner", "web")
    assert notify(site) == []
    site.cli("renew", t[:24], "--expires", "25d")
    [e] = notify(site)
    assert said([e]) == [("b", 30)]
    site.cli("renew", t[:24], "--expires", "2s", "--shorten")
    assert said(notify(site)) == [("b", 1)]
    time.sleep(2)
    assert said(notify(site)) == [("b", 0)]
    site.cli("renew", t[:24], "--expires", "25d")
    [again] = notify(site)
    assert again["days"] == 30 and again["key"] != e["key"]


def test_revoked_and_purged_ones_are_not_told_suspended_ones_are(site):
    t = make(site, a="5d", b="5d", c="5d")
    site.revoke(t["a"], "--offline")
    site.cli("suspend", t["b"][:24])
    events = notify(site)
    assert said(events) == [("b", 7), ("c", 7)]
    assert [e["status"] for e in events] == ["suspended", "active"]
    site.cli("resume", t["b"][:24])
    assert notify(site) == []
    make(site, d="1s")
    time.sleep(1.2)
    site.cli("purge", "--dead-for", "0", "--yes")
    assert notify(site) == []


def test_imported_and_rotated_tokens_are_told(served):
    table = served.root / "t.csv"
    table.write_text(f"digest,name,expires\n{'ab' * 32},theirs,5d\n")
    served.cli("import", "--scheme", "sha256-hex", table)
    assert said(notify(served)) == [("theirs", 7)]
    served.cli("rotate", served.list()[0]["id"])
    assert notify(served) == []


def test_a_compaction_remembers(site):
    make(site, **{f"t{i}": "5d" for i in range(5)}, u="90d")
    assert len(notify(site)) == 5
    site.cli("journal", "compact")
    assert notify(site) == []
    assert said(notify(site, "--thresholds", "6,5")) == \
        [(f"t{i}", 5) for i in range(5)]


def test_a_dry_run_says_it_and_keeps_nothing(site):
    make(site, a="5d")
    before = site.journal.read_bytes()
    for _ in range(2):
        assert said(notify(site, "--dry-run", "--exec", "exit 1")) == \
            [("a", 7)]
    assert site.journal.read_bytes() == before
    assert said(notify(site)) == [("a", 7)]


@pytest.mark.parametrize("text", ["0", "-1", "1,,2", "1,", ",1", "7d", "1462",
                                  "1 2", "99999999999", ",".join("1" * 17)])
def test_thresholds_that_are_none(site, text):
    done = site.cli("notify", "run", "--thresholds", text, rc=2)
    assert "--thresholds is not like" in done.err


def test_without_a_journal(site):
    assert "--data" in site.cli("notify", "run", rc=4).err


def test_many_at_once(site):
    site.bulk(20000, "--expires", "5d")
    start = time.monotonic()
    assert len(notify(site)) == 20000
    assert time.monotonic() - start < 10 * rig.PATIENCE
    assert notify(site) == []
    site.check()


# ---- to stdout ----

def test_what_stdout_does_not_take_is_said_again(site):
    make(site, a="5d", b="5d")
    with open("/dev/full", "wb") as full:
        done = site.cli("notify", "run", rc=4, stdout=full)
    assert "come again" in done.err
    assert notices(site) == []
    nobody, gone = os.pipe()
    os.close(nobody)  # a reader that has gone
    p = subprocess.Popen([rig.JETON, "notify", "run"], env=site.env,
                         stdout=gone, stderr=subprocess.PIPE)
    os.close(gone)
    assert p.wait(20) == 4 and notices(site) == []
    p.stderr.close()
    assert said(notify(site)) == [("a", 7), ("b", 7)]


def test_a_journal_that_cannot_be_written_says_so(site):
    make(site, a="5d")
    with open(site.data / "journal.lock", "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        done = site.cli("notify", "run", rc=4)
        assert len(done.out.splitlines()) == 1  # at least once
    assert said(notify(site)) == [("a", 7)]
    assert notify(site) == []


# ---- to a command ----

def test_a_command_gets_each_event_on_stdin(site):
    make(site, a="5d", b="10d", c="90d")
    take = command(site, APPEND.format(site.root))
    events = notify(site, "--exec", take)
    assert said(got(site)) == [("a", 7), ("b", 14)]
    assert events == got(site)
    assert notify(site, "--exec", take) == []
    assert len(got(site)) == 2


def test_the_command_is_a_line_for_the_shell(site):
    make(site, a="5d")
    notify(site, "--exec", f"sed s/expiring/gone/ | cat > '{site.root}/got'")
    assert got(site)[0]["event"] == "gone"


def test_a_failing_command_is_retried_and_nothing_doubled(site):
    make(site, **{f"t{i}": "5d" for i in range(6)})
    take = command(site, f"""
event=$(cat)
case $event in *'"t1"'*|*'"t4"'*) [ -e {site.root}/up ] || exit 3;; esac
printf '%s\\n' "$event" >> {site.root}/got
""")
    done = site.cli("notify", "run", "--exec", take, rc=1)
    assert done.err.count("ended with 3") == 2
    assert "come again" in done.err
    assert said(got(site)) == [(f"t{i}", 7) for i in (0, 2, 3, 5)]
    assert len(done.out.splitlines()) == 4
    notify(site, "--exec", take, rc=1)
    assert len(got(site)) == 4
    (site.root / "up").touch()
    notify(site, "--exec", take)
    assert said(got(site)) == [(f"t{i}", 7) for i in range(6)]
    assert len({e["key"] for e in got(site)}) == 6


@pytest.mark.parametrize("script,why", [
    ("kill -SEGV $$", "signal 11"), ("exit 1", "ended with 1"),
    ("no-such-program-anywhere", "ended with 127"), ("cat; exit 2", "with 2")])
def test_ways_to_fail(site, script, why):
    make(site, a="5d")
    done = site.cli("notify", "run", "--exec", script, rc=1)
    assert why in done.err and not done.out and notices(site) == []


def test_a_command_that_never_reads_may_succeed(site):
    make(site, a="5d", b="5d")
    assert len(notify(site, "--exec", "exec 0<&-; exit 0")) == 2
    assert notify(site) == []


def test_a_commands_output_is_not_among_the_events(site):
    make(site, a="5d")
    done = site.cli("notify", "run", "--exec",
                    "cat > /dev/null; echo noise; echo more >&2")
    assert len(done.out.splitlines()) == 1 and "noise" not in done.out
    assert "noise" in done.err and "more" in done.err


def test_a_command_that_hangs_is_ended_with_all_that_it_started(site):
    make(site, a="5d")
    start = time.monotonic()
    done = site.cli("notify", "run", "--timeout", "3s", "--exec",
                    f"sleep 300 & echo $! > {site.root}/pid; wait", rc=1)
    assert 2.9 < time.monotonic() - start < 13
    assert "3 s" in done.err and notices(site) == []
    pid = int((site.root / "pid").read_text())
    rig.until(lambda: not rig.alive(pid), 5, "its child is gone")


@pytest.mark.parametrize("options,ms", [
    ((), 30000), (("--timeout", "1s"), 1000), (("--timeout", "1h"), 3600000)])
def test_how_long_a_command_is_waited_for(site, options, ms):
    """Nobody need wait: the kernel is asked for so much."""
    make(site, a="5d")
    trace = site.root / "trace"
    site.cli("notify", "run", "--exec", "sleep 0.1", *options,
             wrapper=["strace", "-o", str(trace), "-e", "trace=poll,ppoll"])
    assert re.search(rf", 1, {ms}\)", trace.read_text())


def test_a_command_within_its_time_is_let_be(site):
    make(site, a="5d", b="5d")
    notify(site, "--timeout", "2s", "--exec",
           "sleep 1.2; " + APPEND.format(site.root))
    assert said(got(site)) == [("a", 7), ("b", 7)]


@pytest.mark.parametrize("options", [
    ("--exec", "true", "--timeout", "0"),
    ("--exec", "true", "--timeout", "0s"),
    ("--exec", "true", "--timeout", "61min"),
    ("--exec", "true", "--timeout", "3601s"),
    ("--exec", "true", "--timeout", "1d"),
    ("--exec", "true", "--timeout", "-1s"),
    ("--exec", "true", "--timeout", "30"),
    ("--exec", "true", "--timeout", "soon"),
    ("--exec", "true", "--timeout", ""),
    ("--timeout", "30s")])
def test_a_timeout_that_is_none(site, options):
    make(site, a="5d")
    done = site.cli("notify", "run", *options, rc=2)
    assert "--timeout" in done.err and not done.out and notices(site) == []


def test_the_command_has_no_descriptor_of_ours(site):
    make(site, a="5d")
    script = site.root / "fds.py"
    script.write_text(f"""
import os
import re
fds = {{}}
for f in os.listdir("/proc/self/fd"):
    try:
        fds[f] = os.readlink("/proc/self/fd/" + f)
    except OSError:
        pass  # that of the listing itself
open({str(site.root / 'fds')!r}, "w").write(repr(fds))
""")
    notify(site, "--exec", f"exec /usr/bin/python3 {script}")
    fds = eval((site.root / "fds").read_text())
    assert set(fds) == {"0", "1", "2"}, fds
    assert fds["1"] == fds["2"]


def test_the_commands_signals_are_as_at_a_login(site):
    make(site, a="5d")
    notify(site, "--exec",
           f"exec grep Sig /proc/self/status > {site.root}/signals")
    masks = dict(x.split(":") for x in
                 (site.root / "signals").read_text().splitlines())
    assert int(masks["SigBlk"], 16) == 0
    assert int(masks["SigIgn"], 16) & 0x7fffffff == 0  # above: the C library's


def test_the_journal_is_free_while_a_command_runs(served):
    make(served, a="5d")
    notify(served, "--exec",
           f"{rig.JETON} create inner >/dev/null 2>{served.root}/err")
    assert [t["name"] for t in served.list()] == ["a", "inner"]


def test_a_token_revoked_meanwhile_is_not_told(site):
    t = make(site, a="5d", b="5d", c="5d")
    take = command(site, APPEND.format(site.root) +
                   f"{rig.JETON} revoke {t['b'][:24]} --offline\n")
    notify(site, "--exec", take)
    assert said(got(site)) == [("a", 7), ("c", 7)]


def test_a_compaction_in_the_middle_neither_loses_nor_doubles(site):
    t = make(site, gone="1s", **{f"t{i}": "5d" for i in range(5)})
    site.revoke(t["gone"], "--offline")
    take = command(site, APPEND.format(site.root) + f"""
[ -e {site.root}/once ] && exit 0
touch {site.root}/once
{rig.JETON} purge --dead-for 0 --yes && {rig.JETON} journal compact
""")
    time.sleep(1)
    notify(site, "--exec", take)
    assert said(got(site)) == [(f"t{i}", 7) for i in range(5)]
    assert notify(site) == []


def test_two_runs_at_once_say_it_once(site):
    make(site, **{f"t{i}": "5d" for i in range(4)})
    take = command(site, "sleep 0.3\n" + APPEND.format(site.root))
    runs = [subprocess.Popen([rig.JETON, "notify", "run", "--exec", take],
                             env=site.env, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE) for _ in range(3)]
    said_by = [r.communicate(timeout=60) for r in runs]
    assert [r.returncode for r in runs] == [0, 0, 0]
    assert sorted(len(out.splitlines()) for out, _ in said_by) == [0, 0, 4]
    assert sum(b"another run" in err for _, err in said_by) == 2
    assert len(got(site)) == 4


def test_killed_in_the_middle_only_the_event_under_way_may_come_again(site):
    make(site, **{f"t{i}": "5d" for i in range(6)})
    take = command(site, APPEND.format(site.root) + "sleep 0.1\n")
    for i in range(4):
        p = subprocess.Popen([rig.JETON, "notify", "run", "--exec", take],
                             env=site.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(0.15)
        p.send_signal(signal.SIGKILL)
        p.wait()
        time.sleep(0.2)  # the command goes on alone
    notify(site, "--exec", take)
    keys = [e["key"] for e in got(site)]
    assert len(set(keys)) == 6
    assert len(keys) <= 6 + 4  # at most one a kill
    assert notify(site, "--exec", take) == []
    site.check()


def test_a_full_disk_loses_nothing(site):
    make(site, a="5d")
    done = site.cli("notify", "run", rc=4, wrapper=rig.inject(
        "fdatasync", "error=EIO:when=1"))
    assert len(done.out.splitlines()) == 1


def test_no_value_is_in_an_event_a_log_or_a_file(site):
    site.start("--workers", "1")
    t = make(site, a="5d", b="10d")
    notify(site, "--exec", command(site, APPEND.format(site.root)))
    for path in [*site.data.rglob("*"), site.root / "got",
                 *site.root.glob("log*")]:
        if path.is_file():
            assert_clean(path.read_bytes(), t.values(), path.name)
    for args, (_, out, err) in site.said:
        if args[0] != "create":
            assert_clean(out + err, t.values(), args[0])


# ---- what the keeper counts ----

def test_the_keeper_counts_what_expires(served):
    def counts():
        s = served.status()
        return [s["expiring"][d] for d in ("1", "7", "14", "30", "60")] + \
            [s["expired"]]
    assert counts() == [0] * 6
    t = make(served, a="12h", b="5d", c="10d", d="20d", e="45d", f="90d")
    assert counts() == [1, 2, 3, 4, 5, 0]
    served.cli("suspend", t["b"][:24])
    assert counts() == [1, 2, 3, 4, 5, 0]
    served.revoke(t["c"])
    assert counts() == [1, 2, 2, 3, 4, 0]
    served.cli("renew", t["d"][:24], "--expires", "90d")
    assert counts() == [1, 2, 2, 2, 3, 0]
    served.cli("renew", t["a"][:24], "--expires", "1s", "--shorten")
    rig.until(lambda: counts() == [0, 1, 1, 1, 2, 1], 5, "it expired")
    served.cli("rotate", t["b"][:24], "--overlap", "1h")
    assert counts() == [0, 1, 1, 1, 2, 1]
    served.daemons[-1].stop()
    served.start("--workers", "1")
    assert counts() == [0, 1, 1, 1, 2, 1]
    served.cli("purge", "--dead-for", "0", "--yes")
    assert counts() == [0, 1, 1, 1, 2, 0]
    out = served.cli("status").out
    assert "expiring_7\t1\n" in out and "expired\t0\n" in out


def test_notices_do_not_disturb_the_keeper(served):
    make(served, **{f"t{i}": "5d" for i in range(50)})
    before = served.status()["applied"]
    assert len(notify(served)) == 50
    rig.until(lambda: served.status()["applied"] == before + 50, 5,
              "the keeper has read them")
    assert served.status()["health"] == "ok"
    token = served.create("still")
    assert served.word(token) == "VALID"
    assert os.path.exists(served.data / "notify.lock")
