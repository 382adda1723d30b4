"""Use counts: what was counted is there again after a stop, nearly all of it
after a crash, and nobody who verifies notices that it is written down."""
import contextlib
import os
import random
import resource
import signal
import socket
import threading
import time

import rig

LOST_S = 5  # what a crash may cost


def shown(site, token):
    """The sheet of `show`, by its keys."""
    out = site.cli("show", token[:24]).out
    return dict(line.split("\t", 1) for line in out.splitlines()
                if "\t" in line)


def uses(site, token):
    return int(shown(site, token)["uses"])


def spend(site, token, n):
    with site.client() as c:
        for _ in range(n):
            assert c.verify(token).word == "VALID"


def control(site, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(site.run / "jeton-control.sock"))
        s.sendall(line.encode() + b"\n")
        return s.recv(20000).decode()


def kill_keeper(site):
    daemon = site.daemons[-1]
    daemon.kill()
    return daemon


class Load:
    """Verifies TOKENS at random until stopped, and keeps what was answered:
    for each token, when each use was confirmed."""

    def __init__(self, site, tokens):
        self.site, self.tokens = site, tokens
        self.times = {t: [] for t in tokens}
        self.sent = dict.fromkeys(tokens, 0)
        self.over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        pick = random.Random(7)
        try:
            with self.site.client() as c:
                while not self.over:
                    token = pick.choice(self.tokens)
                    self.sent[token] += 1
                    assert c.verify(token).word == "VALID"
                    self.times[token].append(time.monotonic())
        except (OSError, rig.Closed):
            pass

    def stop(self):
        self.over = True
        self.thread.join()


# ---- a clean stop loses nothing ----

def test_clean_stop_loses_nothing(served):
    a, b = served.create("a", "--quota", "1000/day"), served.create("b")
    spend(served, a, 17)
    spend(served, b, 3)
    served.verify(b, "SCOPE", "no:such")
    before = shown(served, a), shown(served, b)
    served.daemons[-1].stop()
    assert (shown(served, a), shown(served, b)) == before
    served.start("--workers", "1")
    assert (shown(served, a), shown(served, b)) == before
    assert before[0]["uses"] == before[0]["quota_used"] == "17"
    assert before[1]["uses"] == "3" and before[1]["refusals"] == "1"
    assert before[0]["last_used"]


def test_stop_in_the_middle_of_load_loses_nothing(served2):
    tokens = served2.bulk(200)
    load = Load(served2, tokens)
    time.sleep(1.5)
    assert served2.daemons[-1].stop() == 0
    load.stop()
    served2.start("--workers", "1")
    for token in tokens:
        # the last one may have been counted and its answer cut off
        n = uses(served2, token)
        assert len(load.times[token]) <= n <= load.sent[token]


def test_signal_to_the_whole_service_loses_nothing(served):
    """As a service manager stops it: everybody gets the signal at once."""
    token = served.create()
    spend(served, token, 25)
    for pid in [served.status()["scribe"], *served.processes()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    assert served.daemons[-1].stop() == 0
    served.start("--workers", "1")
    assert uses(served, token) == 25


def test_quota_goes_on_where_it_was(served):
    token = served.create("q", "--quota", "10/day")
    spend(served, token, 7)
    served.daemons[-1].stop()
    served.start("--workers", "1")
    spend(served, token, 3)
    assert served.word(token) == "QUOTA_EXCEEDED"
    served.daemons[-1].stop()
    served.start("--workers", "1")
    assert served.word(token) == "QUOTA_EXCEEDED"


def test_counts_survive_many_restarts(site):
    token = None
    for i in range(6):
        site.start("--workers", "1")
        token = token or site.create()
        spend(site, token, 1)
        site.daemons[-1].stop()
        assert uses(site, token) == i + 1


# ---- a crash loses the last seconds ----

def test_killed_keeper_loses_at_most_five_seconds(site):
    for crash in range(2):
        site.start("--workers", "2")
        if not crash:
            tokens = site.bulk(300)
        known = {t: uses(site, t) for t in tokens[:40]}
        load = Load(site, tokens)
        time.sleep(7.3 + crash)
        kill_keeper(site)
        end = time.monotonic()
        load.stop()
        site.start("--workers", "1")
        for token in tokens[:40]:
            n = uses(site, token) - known[token]
            old = sum(t < end - LOST_S for t in load.times[token])
            assert old <= n <= load.sent[token], (old, n)
        site.daemons[-1].stop()


def test_saved_is_not_lost_by_a_crash(served):
    token = served.create()
    spend(served, token, 11)
    assert control(served, "SAVE") == "OK\n"
    kill_keeper(served)
    assert uses(served, token) == 11
    served.start("--workers", "1")
    assert uses(served, token) == 11


def test_save_is_exact_under_load(served):
    """All that was answered before is in the file when SAVE is answered."""
    tokens = served.bulk(50)
    load = Load(served, tokens)
    for _ in range(10):
        time.sleep(0.2)
        before = {t: len(load.times[t]) for t in tokens}
        assert control(served, "SAVE") == "OK\n"
        copy = (served.data / "usage").read_bytes()
        after = dict(load.sent)
    load.stop()
    kill_keeper(served)
    # as it stood when the last SAVE was answered
    (served.data / "usage").write_bytes(copy)
    for token in tokens:
        assert before[token] <= uses(served, token) <= after[token]


def test_rotation_just_before_a_crash_keeps_the_counts(served):
    old = served.create("r", "--quota", "100/day")
    spend(served, old, 9)
    assert control(served, "SAVE") == "OK\n"
    new = served.cli("rotate", old[:24], "--overlap", "1h").out.strip()
    kill_keeper(served)
    served.start("--workers", "1")
    sheet = shown(served, new)
    assert sheet["uses"] == sheet["quota_used"] == "9"
    spend(served, new, 1)
    assert uses(served, new) == 10
    # and twice, as fast as that goes
    assert control(served, "SAVE") == "OK\n"
    for _ in range(2):
        new = served.cli("rotate", new[:24], "--overlap", "1h",
                           "--force").out.strip()
    kill_keeper(served)
    served.start("--workers", "1")
    assert uses(served, new) == 10


def old_use(site, token):
    return int(control(site, f"LOOK {token[:24]}").split()[9])


def test_last_use_of_the_value_before_survives(served):
    old = served.create()
    new = served.cli("rotate", old[:24], "--overlap", "1h").out.strip()
    spend(served, old, 1)
    spend(served, new, 2)
    when = old_use(served, new)
    assert abs(when - time.time()) < 30
    served.daemons[-1].stop()
    served.start("--workers", "1")
    assert old_use(served, new) == when
    assert uses(served, new) == 3


def test_purge_and_restart_leave_the_counts_with_their_tokens(served):
    tokens = served.bulk(20)
    for i, token in enumerate(tokens):
        spend(served, token, i + 1)
    for token in tokens[:3]:
        served.revoke(token)
    time.sleep(2.1)
    served.cli("purge", "--dead-for", "1s", "--yes")
    for _ in range(2):
        served.daemons[-1].stop()
        served.start("--workers", "1")
        for i, token in enumerate(tokens[3:], start=4):
            assert uses(served, token) == i


# ---- the scribe ----

def test_killed_scribe_is_noticed_by_nobody(served):
    token = served.create()
    load = Load(served, [token])
    workers = served.daemons[-1].worker_pids()
    for _ in range(5):
        pid = served.status()["scribe"]
        os.kill(pid, signal.SIGKILL)
        rig.until(lambda: served.status()["scribe"] not in (0, pid), 20,
                  "another scribe")
    assert served.daemons[-1].worker_pids() == workers
    assert not load.over and load.thread.is_alive()
    load.stop()
    assert control(served, "SAVE") == "OK\n"
    n = uses(served, token)
    assert n == load.sent[token]
    kill_keeper(served)
    assert uses(served, token) == n


def test_scribe_dies_with_its_keeper(served):
    pid = served.status()["scribe"]
    kill_keeper(served)
    rig.until(lambda: not rig.alive(pid), 5, "no scribe")


def test_scribe_holds_what_it_needs_and_no_more(served):
    # it may not have had a processor yet, to let go what it inherited
    assert rig.until(lambda: control(served, "SAVE") == "OK\n", 5, "a round")
    pid = served.status()["scribe"]
    names = [os.readlink(f"/proc/{pid}/fd/{fd}")
             for fd in os.listdir(f"/proc/{pid}/fd")]
    files = {str(served.data), str(served.data / "serving.lock"),
             str(served.data / "usage"), str(served.daemons[-1].log_path)}
    assert {n for n in names if str(served.root) in n} <= files, names
    # two of /proc/self, and the link over which a larger table comes
    assert len(names) <= 12, names
    maps = open(f"/proc/{pid}/maps").read()
    for segment in ("jeton-identity", "jeton-meters"):
        rights = {line.split()[1] for line in maps.splitlines()
                  if segment in line and "/memfd:" in line}
        assert "r--s" in rights, (segment, rights)


def test_idle_it_does_next_to_nothing(served):
    tokens = served.bulk(1000)
    with served.client() as c:
        for t in tokens:
            c.verify(t)
    assert control(served, "SAVE") == "OK\n"
    pid = served.status()["scribe"]
    changed = os.stat(served.data / "usage").st_mtime_ns
    before = rig.cpu_s(pid)
    time.sleep(7)
    assert rig.cpu_s(pid) - before <= 0.05
    assert os.stat(served.data / "usage").st_mtime_ns == changed


# ---- files that are not what they should be ----

def test_damaged_file_is_no_reason_not_to_serve(served):
    token = served.create()
    for harm in (b"", b"x", b"garbage" * 1000, bytes(100000)):
        spend(served, token, 2)
        served.daemons[-1].stop()
        (served.data / "usage").write_bytes(harm)
        daemon = served.start("--workers", "1")
        assert "use counts are not taken" in daemon.log()
        assert uses(served, token) == 0
        assert served.status()["health"] == "ok"
    spend(served, token, 4)
    served.daemons[-1].stop()
    assert uses(served, token) == 4


def test_file_of_another_journal_is_not_taken(site):
    with rig.a_site() as other:
        other.start("--workers", "1")
        spend(other, other.create(), 5)
        other.daemons[-1].stop()
        theirs = (other.data / "usage").read_bytes()
    site.start("--workers", "1")
    token = site.create()
    spend(site, token, 1)
    site.daemons[-1].stop()
    (site.data / "usage").write_bytes(theirs)
    assert "uses" not in shown(site, token)
    daemon = site.start("--workers", "1")
    assert "of another journal" in daemon.log()
    assert uses(site, token) == 0


def test_file_with_changed_bytes_costs_those_tokens_alone(served):
    tokens = served.bulk(30)
    for token in tokens:
        spend(served, token, 2)
    served.daemons[-1].stop()
    path = served.data / "usage"
    data = bytearray(path.read_bytes())
    for line in (0, 5, 29):
        data[4096 + 64 * line + 17 + line] ^= 0x10
    path.write_bytes(data)
    daemon = served.start("--workers", "1")
    assert "3 entries" in daemon.log()
    assert sorted(uses(served, t) for t in tokens) == [0] * 3 + [2] * 27


def test_trouble_is_in_status_and_verdicts_go_on(served):
    token = served.create()
    assert served.status()["usage"] == ""
    (served.data / "usage").unlink(missing_ok=True)
    # for root, too, a directory that others may write to is refused
    os.chmod(served.data, 0o777)
    try:
        spend(served, token, 3)
        reply = control(served, "SAVE")
        assert reply.startswith("ERR RED use counts cannot be saved"), reply
        assert "use counts cannot be saved" in served.status()["usage"]
        assert served.word(token) == "VALID"
    finally:
        os.chmod(served.data, 0o700)
    assert control(served, "SAVE") == "OK\n"
    assert served.status()["usage"] == ""
    log = served.daemons[-1].log()
    assert log.count("use counts cannot be saved") == 1
    assert log.count("use counts are saved again") == 1
    assert uses(served, token) == 4


def test_full_disk_costs_no_verdict(site):
    """A file limit is a disk that is full for files of that size."""
    tokens = site.bulk(70000)  # the last ones stand behind 4 MiB
    daemon = site.start("--workers", "1")
    first, last = tokens[0], tokens[-1]
    spend(site, first, 5)
    assert control(site, "SAVE") == "OK\n"
    pid = site.status()["scribe"]
    none = resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4 << 20, none))
    spend(site, first, 1)
    spend(site, last, 5)
    for _ in range(2):
        reply = control(site, "SAVE")
        assert reply.startswith("ERR RED") and "File too large" in reply
    assert site.status()["health"] == "ok"
    assert site.word(last) == "VALID"
    # what has its place in the file is written all the same
    copy = (site.data / "usage").read_bytes()
    assert len(copy) <= 4 << 20
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (none, none))
    assert control(site, "SAVE") == "OK\n"
    assert site.status()["usage"] == ""
    assert daemon.log().count("use counts cannot be saved") == 1
    kill_keeper(site)
    assert uses(site, last) == 6
    (site.data / "usage").write_bytes(copy)
    assert uses(site, first) == 6


def test_full_disk_at_the_stop_is_told(served):
    token = served.create()
    assert control(served, "SAVE") == "OK\n"
    resource.prlimit(served.status()["scribe"], resource.RLIMIT_FSIZE, (1, 1))
    spend(served, token, 3)
    daemon = served.daemons[-1]
    assert daemon.stop() == 0
    assert "the last use counts are not saved" in daemon.log()
    served.start("--workers", "1")
    assert served.word(token) == "VALID"
