"""The table grows while it serves, and nobody but the log tells."""
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

import rig

sys.path.insert(0, str(rig.EXAMPLES))

SMALL = ("--capacity", "1000")
MANY = 20_000 if rig.ASAN else 100_000


class Watch(threading.Thread):
    """A client that asks again and again; what it heard is counted."""

    def __init__(self, site, tokens):
        super().__init__(daemon=True)
        self.site, self.tokens = site, tokens
        self.words, self.over = {}, threading.Event()
        self.error = None

    def run(self):
        c = None
        while not self.over.is_set():
            try:
                c = c or self.site.client()
                for token in self.tokens:
                    c.send("VERIFY", token)
                for _ in self.tokens:
                    word = rig.verdict(c.read()).word
                    self.words[word] = self.words.get(word, 0) + 1
            except (rig.Closed, OSError):  # its worker was killed
                c = None
                time.sleep(0.01)
            except AssertionError as e:
                self.error = e
                return

    def end(self):
        self.over.set()
        self.join(10)
        assert self.error is None, self.error
        return self.words


def settled(site):
    """The growth under way is over."""
    rig.until(lambda: site.status()["growing"] is None, 30, "it has grown",
              0.05)
    return site.status()


def sample(tokens, n=300):
    return random.Random(1).sample(tokens, n)


def expect_valid(site, tokens):
    with site.client() as c:
        for token in tokens:
            assert c.verify(token).word == "VALID", token


def test_bulk_create_beyond_the_capacity_just_works(site):
    daemon = site.start("--workers", "2", *SMALL)
    before = site.bulk(700, name="before")
    watches = [Watch(site, sample(before, 50)) for _ in range(3)]
    for w in watches:
        w.start()
    tokens = site.bulk(MANY, name="many")
    expect_valid(site, sample(tokens))
    more = site.bulk(MANY // 2, name="more")
    status = settled(site)
    for w in watches:
        assert set(w.end()) == {"VALID"}, w.words
    expect_valid(site, sample(tokens) + sample(more) + before)
    assert status["tokens"] == 700 + MANY + MANY // 2
    assert status["capacity"] >= status["tokens"]
    assert status["growths"] >= 2 and status["health"] == "ok"
    assert f"the table has room for {status['capacity']} tokens" \
        in daemon.log()
    told = site.cli("status").out
    assert re.search(r"^growths\s+\d+$", told, re.M), told
    assert re.search(r"^bytes_per_token\s+\d+$", told, re.M), told


def test_grows_by_itself_before_it_is_full(site):
    site.start("--workers", "1", *SMALL)
    site.bulk(930)
    assert site.status()["capacity"] == 1000
    site.bulk(10, name="ten")
    assert settled(site)["capacity"] == 2000


def test_revoke_in_the_middle_holds_in_every_worker(site):
    site.start("--workers", "2", *SMALL)
    tokens = site.bulk(700)
    clients = [site.client() for _ in range(6)]  # of both workers
    big = threading.Thread(target=site.bulk, args=(MANY,),
                           kwargs={"name": "many"})
    big.start()
    gone = []
    while big.is_alive():
        token = tokens.pop()
        site.revoke(token, rc=None)
        if site.said[-1][1].rc != 0:
            continue  # the bulk has the lock
        gone.append(token)
        for c in clients:
            assert c.verify(token).word == "REVOKED"
    settled(site)
    for token in gone:
        for c in clients:
            assert c.verify(token).word == "REVOKED"
    for token in tokens:
        assert clients[0].verify(token).word == "VALID"


@pytest.mark.unwatched("uses are compared")
def test_limit_and_counts_go_on_over_a_growth(site):
    site.start("--workers", "2", *SMALL)
    token = site.create("limited", "--quota", "1000/day", "--rate",
                        "1000000/s", "--burst", "1000000")
    words = []
    with site.client() as a, site.client() as b:
        for i, n in enumerate((700, 2000, 8000, 30000)):
            for c in (a, b):
                words += [c.verify(token).word for _ in range(150)]
            site.bulk(n, name=f"b{i}")
        settled(site)
        assert site.status()["growths"] >= 3
        while len(words) < 1300:
            words.append(a.verify(token).word)
            words.append(b.verify(token).word)
    assert words.count("VALID") == 1000
    assert words[:1000] == ["VALID"] * 1000
    assert '"uses":1000' in site.cli("show", token[:24], "--json") \
        .out.replace(" ", "")


def test_killed_worker_comes_back_with_the_newest_table(site):
    daemon = site.start("--workers", "2", *SMALL)
    before = site.bulk(700, name="before")
    watch = Watch(site, sample(before, 20))
    watch.start()
    big = threading.Thread(target=site.bulk, args=(MANY,),
                           kwargs={"name": "many"})
    big.start()
    while big.is_alive():
        pids = daemon.worker_pids()
        if pids:
            try:
                os.kill(random.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
    big.join()
    settled(site)
    assert set(watch.end()) == {"VALID"}
    rig.until(lambda: len(daemon.worker_pids()) == 2, 20, "two workers")
    with site.client() as c:
        assert c.verify(before[0]).word == "VALID"
    expect_valid(site, sample(rig.values(site.root / "many.out")))


def test_stopped_worker_holds_nobody_up_and_catches_up(site):
    daemon = site.start("--workers", "2", *SMALL)
    clients = [site.client() for _ in range(8)]
    pid = daemon.worker_pids()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        tokens = site.bulk(5000)
        rig.until(lambda: site.status()["growing"] is None, 20, "retired")
        late = site.bulk(5000, name="late")
        site.revoke(tokens[0])
    finally:
        os.kill(pid, signal.SIGCONT)
    for c in clients:  # those of the stopped one among them
        assert c.verify(tokens[0]).word == "REVOKED"
        assert c.verify(late[-1]).word == "VALID"


def test_worker_that_cannot_map_the_larger_table_is_replaced(site):
    daemon = site.start("--workers", "2", *SMALL)
    limited = daemon.worker_pids()[0]
    for pid in [limited, *daemon.worker_pids(("http",))]:
        resource.prlimit(pid, resource.RLIMIT_AS, (1, 1))
    tokens = site.bulk(5000)
    rig.until(lambda: limited not in daemon.worker_pids() and
              len(daemon.worker_pids(("resp", "http"))) == 3, 20, "replaced")
    settled(site)
    assert "cannot be mapped" in daemon.log()
    site.revoke(tokens[0])
    for _ in range(8):  # both workers
        with site.client() as c:
            assert c.verify(tokens[0]).word == "REVOKED"
            assert c.verify(tokens[-1]).word == "VALID"


def test_killed_keeper_serves_all_again(site):
    daemon = site.start("--workers", "2", *SMALL)
    site.bulk(740, name="before")
    big = threading.Thread(target=lambda: site.cli(
        "create", "--from", site.root / "many.csv", "--out",
        site.root / "many.out", rc=None))
    site.root.joinpath("many.csv").write_text(
        "name\n" + "".join(f"m{i}\n" for i in range(MANY)))
    big.start()
    rig.until(lambda: site.status()["growing"] is not None or
              not big.is_alive(), 20, "it grows", 0.001)
    daemon.kill()
    big.join()
    site.start("--workers", "2", *SMALL)
    status = site.status()
    assert status["tokens"] in (740, 740 + MANY)
    assert status["capacity"] >= status["tokens"]
    expect_valid(site, rig.values(site.root / "before.out"))
    if status["tokens"] > 740 and (site.root / "many.out").exists():
        expect_valid(site, sample(rig.values(site.root / "many.out")))


@pytest.mark.skipif(rig.ASAN, reason="Python cannot load a library that asan "
                                     "was linked into")
def test_attached_process_follows(site):
    os.environ["JETON_LIBRARY"] = str(rig.BIN / "libjeton.so.1")
    import verify_ctypes as vc

    site.start("--workers", "1", *SMALL)
    tokens = site.bulk(700)
    j = vc.Jeton(site.run, 0)

    def ask(token):
        error, v = j.verify(token.encode())
        assert error == 0, os.strerror(-error)
        return j.word(v), v.flags & vc.BY_SOCKET
    assert ask(tokens[0]) == ("VALID", 0)
    for i in range(3):
        made = site.bulk(1500 * 4 ** i, name=f"b{i}")
        assert ask(made[-1])[0] == "VALID"
        site.revoke(tokens[i])
        assert ask(tokens[i])[0] == "REVOKED"
        settled(site)
        assert ask(tokens[i])[0] == "REVOKED"
        rig.until(lambda: ask(made[0]) == ("VALID", 0), 5, "attached again",
                  0.01)
    assert site.status()["growths"] >= 3
    j.close()


def test_capacity_max_is_the_end(site):
    site.start("--workers", "1", *SMALL, "--capacity-max", "3000")
    tokens = site.bulk(2500)
    done = site.cli("create", "--from", site.root / "bulk.csv", "--out",
                    site.root / "no.out", rc=1)
    assert "--capacity-max" in done.err and len(rig.lines(done.err)) == 1
    status = settled(site)
    assert status["capacity"] == 3000 == status["capacity_max"]
    assert status["tokens"] == 2500 and status["health"] == "ok"
    expect_valid(site, tokens[::50])


@pytest.mark.unwatched("uses are compared")
def test_use_counts_of_a_grown_table_outlive_a_restart(site):
    daemon = site.start("--workers", "1", *SMALL)
    early = site.create("early")
    site.bulk(5000)
    late = site.create("late")
    settled(site)
    with site.client() as c:
        for _ in range(7):
            c.verify(early), c.verify(late)
    assert daemon.stop() == 0
    site.start("--workers", "1")
    for token in (early, late):
        shown = site.cli("show", token[:24], "--json").out.replace(" ", "")
        assert '"uses":7' in shown, shown


def test_metrics_tell(site):
    site.start("--workers", "1", *SMALL)
    site.bulk(2000)
    capacity = settled(site)["capacity"]

    def told():
        out = subprocess.run(
            ["curl", "-s", "--unix-socket", str(site.http),
             "http://x/metrics"], capture_output=True, text=True).stdout
        return f"\njeton_table_capacity_tokens {capacity}\n" in out and \
            "\njeton_table_growths_total 1\n" in out and \
            "\njeton_table_growing 0\n" in out
    rig.until(told, 5, "metrics tell of the growth")
