"""/metrics says what happened: read by promtool, by a real Prometheus, and
beside what the processes themselves show; and lines about refused tokens."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

import rig

GRAFANA = rig.ROOT / "sidecar/grafana"
SECOND = 1.5 * rig.PATIENCE  # for what is told once a second


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as r:
        return r.read().decode()


def start(site, *flags):
    """A daemon that also listens for HTTP; site.metrics is the page's URL."""
    port = free_port()
    site.metrics = f"http://127.0.0.1:{port}/metrics"
    return site.start("--http-listen", f"127.0.0.1:{port}", *flags)


SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? ([0-9.]+)")


def samples(site):
    """{(name, frozenset of (label, value)): number}"""
    found = {}
    for line in get(site.metrics).splitlines():
        if line.startswith("#"):
            continue
        name, labels, number = SAMPLE.fullmatch(line).groups()
        key = name, frozenset(re.findall(r'([a-z]+)="([^"]*)"', labels or ""))
        assert key not in found, line
        found[key] = float(number)
    return found


def value(site, name, **labels):
    """The sum over all series of that name that have these labels."""
    return sum(v for (n, have), v in samples(site).items()
               if n == name and have >= set(labels.items()))


def by_label(site, name, label):
    return {dict(have)[label]: v for (n, have), v in samples(site).items()
            if n == name}


def becomes(site, expected, name, **labels):
    rig.until(lambda: value(site, name, **labels) == expected, 5 * SECOND,
              f"{name} {labels} {expected}")


# ---- the text ----

def test_promtool_has_nothing_to_say(site):
    start(site, "--workers", "2")
    token = site.create()
    site.word(token)
    site.word("")
    p = subprocess.run(["promtool", "check", "metrics"],
                       input=get(site.metrics), text=True,
                       capture_output=True)
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "")
    with urllib.request.urlopen(site.metrics) as r:
        assert r.headers["Content-Type"].startswith(
            "text/plain; version=0.0.4")


def test_no_token_is_in_it(site):
    start(site, "--log-refusals", "1")
    tokens = site.bulk(50)
    with site.client() as c:
        for t in tokens:
            c.verify(t)
            c.verify(rig.other_secret(t))
    text = get(site.metrics)
    for t in tokens:
        assert t[:24] not in text and t[8:24] not in text
        assert t[24:30] not in text


def test_verdicts_and_histogram_are_those_of_the_requests(site):
    start(site, "--workers", "2")
    tokens = site.bulk(200)
    site.revoke(tokens[0])
    want = {"VALID": 0, "REVOKED": 0, "MISSING": 0, "UNKNOWN": 0,
            "MALFORMED": 0}
    for _ in range(3):
        with site.client() as c:
            for t in tokens[:50]:
                want[c.verify(t).word] += 1
            for t in ("", "short", rig.other_secret(tokens[1])):
                want[c.verify(t).word] += 1
            got = c("MVERIFY", 1000, *tokens * 5)
            for v in map(rig.verdict, got):
                want[v.word] += 1
            # more in one breath than a round takes
            c.raw(rig.encode("VERIFY", tokens[2]) * 1500)
            for _ in range(1500):
                want[rig.verdict(c.read()).word] += 1
    assert want["REVOKED"] == 3 + 3 * 5
    for word, n in want.items():
        assert value(site, "jeton_verifications_total", verdict=word,
                     door="resp") == n, word
    total = sum(want.values())
    assert value(site, "jeton_verifications_total") == total
    assert value(site, "jeton_verify_duration_seconds_count") == total
    assert value(site, "jeton_verify_duration_seconds_bucket", le="+Inf",
                 door="resp") == total
    took = value(site, "jeton_verify_duration_seconds_sum")
    assert 0 < took / total < 0.05 * rig.PATIENCE
    assert value(site, "jeton_connections_total", door="resp") >= 3


def test_buckets_never_fall(site):
    start(site)
    token = site.create()
    with site.client() as c:
        for _ in range(100):
            c.verify(token)
    buckets = sorted((float(dict(have)["le"]), v)
                     for (n, have), v in samples(site).items()
                     if n == "jeton_verify_duration_seconds_bucket" and
                     ("door", "resp") in have)
    assert len(buckets) == 24
    assert [v for _, v in buckets] == sorted(v for _, v in buckets)
    assert buckets[-1] == (float("inf"), 100)


# ---- what the keeper tells ----

def test_tokens_are_counted_by_status_and_expiry(site):
    start(site)
    for span, n in (("12h", 1), ("3d", 2), ("10d", 3), ("20d", 4),
                    ("45d", 5), ("90d", 6)):
        tokens = site.bulk(n, "--expires", span, name=f"t{span}")
    site.revoke(tokens[0])
    site.cli("suspend", tokens[1][:24])
    becomes(site, 1, "jeton_tokens", status="suspended")
    assert by_label(site, "jeton_tokens", "status") == {
        "active": 19, "suspended": 1, "revoked": 1, "expired": 0}
    assert by_label(site, "jeton_tokens_expiring", "within") == {
        "1d": 1, "7d": 3, "14d": 6, "30d": 10, "60d": 15}
    site.revoke(site.create("soon", "--expires", "2h"))
    becomes(site, 2, "jeton_tokens", status="revoked")
    assert value(site, "jeton_tokens_expiring", within="1d") == 1
    short = site.create("short", "--expires", "2s")
    assert site.word(short) == "VALID"
    becomes(site, 1, "jeton_tokens", status="expired")
    assert site.word(short) == "EXPIRED"
    assert value(site, "jeton_tokens") == value(site, "jeton_table_tokens")


def test_more_tokens_than_are_counted_at_once(site):
    start(site, "--capacity", "200000")
    site.bulk(140000, "--expires", "5d")
    becomes(site, 140000, "jeton_tokens", status="active")
    assert value(site, "jeton_tokens_expiring", within="7d") == 140000
    assert value(site, "jeton_tokens_expiring", within="1d") == 0


def test_after_a_restart_all_is_counted_with_the_first_answer(site):
    daemon = start(site)
    site.bulk(3000)
    daemon.stop()
    start(site)
    assert value(site, "jeton_tokens", status="active") == 3000


def test_numbers_are_those_of_status(site):
    start(site)
    token = site.create()
    site.cli("rotate", token[:24], "--overlap", "1h")
    status = site.status()
    for name, key in (("jeton_applied_number", "applied"),
                      ("jeton_journal_number", "committed"),
                      ("jeton_table_tokens", "tokens"),
                      ("jeton_table_capacity_tokens", "capacity")):
        assert value(site, name) == status[key], name
    assert value(site, "jeton_table_slots", state="used") == 2
    assert value(site, "jeton_table_slots") == status["slots"]
    assert value(site, "jeton_build_info", version=status["version"],
                 backend=status["backend"]) == 1


def test_health_is_honest(site):
    start(site)
    site.create()
    becomes(site, int(not rig.ASAN), "jeton_healthy")
    aside = site.data / "aside"
    site.journal.rename(aside)
    becomes(site, 0, "jeton_healthy")
    assert site.status()["health"] == "red"


# ---- the processes ----

def rss(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * \
        os.sysconf("SC_PAGE_SIZE")


def test_process_figures_are_the_sum_over_all_processes(site):
    began = time.time()
    start(site, "--workers", "2")
    clients = [site.client() for _ in range(40)]
    for c in clients:
        c("PING")
    pids = site.everybody()
    assert len(pids) == 5
    # the scribe tells its own with its rounds, every three seconds
    rig.until(lambda: value(site, "process_open_fds") ==
              sum(map(rig.fd_count, pids)), 10 * rig.PATIENCE,
              "open descriptors")
    is_now = sum(map(rss, pids))
    told = value(site, "process_resident_memory_bytes")
    assert 0.8 * is_now < told < 1.2 * is_now
    assert began - 2 < value(site, "process_start_time_seconds") < \
        time.time() + 2
    spent = sum(map(rig.cpu_s, pids))
    rig.until(lambda: value(site, "process_cpu_seconds_total") >=
              spent - 0.01 * len(pids), 10 * rig.PATIENCE, "CPU time")
    assert value(site, "process_cpu_seconds_total") <= \
        sum(map(rig.cpu_s, pids)) + 0.01 * len(pids)
    for c in clients:
        c.close()
    becomes(site, 0, "jeton_connections", door="resp")
    rig.until(lambda: value(site, "process_open_fds") ==
              sum(map(rig.fd_count, pids)), 10 * rig.PATIENCE,
              "fewer descriptors")


def counters(site):
    return {k: v for k, v in samples(site).items()
            if k[0].endswith(("_total", "_count", "_sum", "_bucket"))}


class Watcher:
    """Reads the counters over and over; keeps each step back."""

    def __init__(self, site):
        self.site, self.back, self.n, self.over = site, [], 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        last = {}
        while not self.over:
            now = counters(self.site)
            self.back += [(k, last[k], now.get(k)) for k in last
                          if now.get(k, -1) < last[k]]
            last, self.n = now, self.n + 1
            time.sleep(0.01)

    def stop(self):
        self.over = True
        self.thread.join()
        assert self.n > 20
        assert self.back == []


def test_counters_outlive_workers_and_never_go_back(site):
    daemon = start(site, "--workers", "2")
    tokens = site.bulk(20)
    watcher = Watcher(site)
    answered = 0
    try:
        for _ in range(6):
            clients = [site.client() for _ in range(8)]
            for c in clients:
                for t in tokens:
                    answered += c.verify(t).word == "VALID"
            time.sleep(0.3)  # a tick of the workers: their CPU time is told
            victims = daemon.worker_pids()
            os.kill(victims[0], signal.SIGKILL)
            rig.until(lambda: set(daemon.worker_pids()).isdisjoint(victims[:1])
                      and len(daemon.worker_pids()) == 2, 10 * rig.PATIENCE,
                      "another worker")
            for c in clients:
                c.close()
        scribe = site.status()["scribe"]
        os.kill(scribe, signal.SIGKILL)
        rig.until(lambda: site.status()["scribe"] not in (0, scribe),
                  10 * rig.PATIENCE, "another scribe")
        time.sleep(2 * SECOND)
    finally:
        watcher.stop()
    daemon.wait()
    assert answered == 6 * 8 * 20
    assert value(site, "jeton_verifications_total", verdict="VALID") == \
        answered
    assert value(site, "jeton_verify_duration_seconds_count") == answered
    becomes(site, 0, "jeton_connections", door="resp")
    assert by_label(site, "jeton_workers", "door") == {"resp": 2, "http": 1}


def test_a_stopped_worker_does_not_count_as_working(site):
    daemon = start(site, "--workers", "2")
    pid = daemon.worker_pids()[1]
    becomes(site, 2, "jeton_workers", door="resp")
    os.kill(pid, signal.SIGSTOP)
    becomes(site, 1, "jeton_workers", door="resp")
    os.kill(pid, signal.SIGCONT)
    becomes(site, 2, "jeton_workers", door="resp")


# ---- a real Prometheus ----

class Prometheus:
    def __init__(self, site):
        self.root = site.root / "prometheus"
        self.root.mkdir()
        self.url = f"http://127.0.0.1:{free_port()}"
        target = urllib.parse.urlparse(site.metrics).netloc
        config = (GRAFANA / "prometheus.yml").read_text()
        assert "127.0.0.1:9180" in config and "15s" in config
        config = config.replace("scrape_interval: 15s", "scrape_interval: 1s")
        config = re.sub(r'"127\.0\.0\.1:9180"', f'"{target}"', config)
        (self.root / "prometheus.yml").write_text(
            "global:\n  evaluation_interval: 1s\n" + config)
        (self.root / "jeton.rules.yml").write_text(
            (GRAFANA / "jeton.rules.yml").read_text())
        self.log = open(self.root / "log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.root}/prometheus.yml",
             f"--storage.tsdb.path={self.root}/data",
             f"--web.listen-address={self.url[7:]}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def api(self, path, **query):
        try:
            answer = json.loads(get(f"{self.url}/api/v1/{path}?" +
                                    urllib.parse.urlencode(query)))
        except OSError:
            return None
        assert answer["status"] == "success", answer
        return answer["data"]

    def ask(self, expr):
        """The value of an expression of one series; None: there is none."""
        data = self.api("query", query=expr)
        if not data or not data["result"]:
            return None
        assert len(data["result"]) == 1, data
        return float(data["result"][0]["value"][1])

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.fixture
def prometheus(site):
    start(site, "--workers", "2")
    p = Prometheus(site)
    yield p
    p.end()


def test_prometheus_counts_what_was_asked(site, prometheus):
    tokens = site.bulk(10, "--expires", "3d")
    site.revoke(tokens[0])
    with site.client() as c:
        words = [c.verify(t).word for t in tokens * 20]
    assert words.count("VALID") == 180
    for expr, want in (
            ('sum(jeton_verifications_total{verdict="VALID"})', 180),
            ('jeton_verifications_total{verdict="REVOKED",door="resp"}', 20),
            ("sum(jeton_verify_duration_seconds_count)", 200),
            ('jeton_tokens_expiring{within="7d"}', 9),
            ("jeton_healthy", int(not rig.ASAN)),
            ("jeton_journal_number - jeton_applied_number", 0),
            ('up{job="jeton"}', 1)):
        rig.until(lambda: prometheus.ask(expr) == want, 30 * rig.PATIENCE,
                  f"{expr} is {want}, not {prometheus.ask(expr)}", step_s=0.2)
    p99 = prometheus.ask(
        "histogram_quantile(0.99, sum by (le) "
        "(jeton_verify_duration_seconds_bucket{door=\"resp\"}))")
    assert 0 < p99 < 1
    # every rule was evaluated without an error, and none is met
    rules = rig.until(
        lambda: [r for g in prometheus.api("rules")["groups"]
                 for r in g["rules"]
                 if r["lastEvaluation"] > "0002"] or None,
        30 * rig.PATIENCE, "rules evaluated", step_s=0.5)
    assert {r["health"] for r in rules} == {"ok"}, rules
    assert {r["name"] for r in rules if r["state"] != "inactive"} <= \
        {"JetonTokensExpiring"}


def test_every_expression_of_the_dashboard_has_an_answer(site, prometheus):
    board = json.loads((GRAFANA / "jeton.json").read_text())
    site.bulk(3)
    rig.until(lambda: prometheus.ask("count(jeton_healthy)"),
              30 * rig.PATIENCE, "a scrape", step_s=0.2)
    for expr in expressions(board):
        expr = expr.replace("$__rate_interval", "5m")
        expr = re.sub(r"\$(instance|job)", ".*", expr)
        data = prometheus.api("query", query=expr)
        assert data is not None, expr
        if "rate(" not in expr and "increase(" not in expr:
            assert data["result"], expr


# ---- what is shipped for Prometheus and Grafana ----

def expressions(board):
    return [t["expr"] for p in board["panels"] for t in p["targets"]]


NAMES = re.compile(r"\b(?:jeton|process)_[a-z_]+")


def test_dashboard_and_alerts_name_only_what_there_is(site):
    start(site)
    text = get(site.metrics)
    board = json.loads((GRAFANA / "jeton.json").read_text())
    names = {n for n, _ in samples(site)}
    series = {k: set() for k in names}
    for (name, have) in samples(site):
        series[name] |= {label for label, _ in have}
    rules = re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)\n +(?:for|labels):",
                       (GRAFANA / "jeton.rules.yml").read_text())
    assert len(rules) == 10
    asked = expressions(board) + rules
    for expr in asked:
        assert NAMES.findall(expr) or expr.startswith("up{"), expr
        assert set(NAMES.findall(expr)) <= names, expr
        for name, labels in re.findall(r"\b((?:jeton|process)_[a-z_]+)\{(.*?)\}",
                                       expr):
            assert set(re.findall(r"([a-z]+)[!=]", labels)) <= \
                series[name] | {"instance", "job"}, expr
        for labels in re.findall(r"\bby \(([^)]*)\)", expr):
            known = set().union(*(series[n] for n in NAMES.findall(expr)))
            assert set(labels.split(", ")) <= known | {"instance"}, expr
    # and all that there is can be seen
    families = set(re.findall(r"^# TYPE ([a-z_]+) ", text, re.M))
    shown = {n for e in expressions(board) for n in NAMES.findall(e)}
    assert {f for f in families if not any(s.startswith(f) for s in shown)} \
        == set()


def test_panels_do_not_overlap():
    board = json.loads((GRAFANA / "jeton.json").read_text())
    taken, ids = set(), set()
    for p in board["panels"]:
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                 for y in range(g["y"], g["y"] + g["h"])}
        assert not cells & taken and g["x"] + g["w"] <= 24, p["title"]
        assert p["id"] not in ids
        taken |= cells
        ids.add(p["id"])


@pytest.mark.parametrize("what,file", [("rules", "jeton.rules.yml"),
                                       ("config", "prometheus.yml")])
def test_promtool_accepts(what, file):
    p = subprocess.run(["promtool", "check", what, str(GRAFANA / file)],
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr


# ---- lines about refused tokens ----

def refused(daemon):
    return [x for x in daemon.log().splitlines() if ": refused " in x]


def test_refusals_are_not_logged_unasked(site):
    daemon = start(site)
    token = site.create()
    site.revoke(token)
    assert site.word(token) == "REVOKED"
    site.word("")
    time.sleep(0.6)  # two ticks
    assert refused(daemon) == []


def test_refusals_are_logged_once_a_second_with_the_rest_as_a_number(site):
    daemon = start(site, "--workers", "1", "--log-refusals", "1")
    tokens = site.bulk(5)
    for t in tokens:
        site.revoke(t)
    began, n = time.monotonic(), 0
    with site.client() as c:
        while time.monotonic() - began < 2.5:
            c.raw(b"".join(rig.encode("VERIFY", t) for t in tokens) * 20)
            for _ in range(100):
                assert rig.verdict(c.read()).word == "REVOKED"
            n += 100
    spent = time.monotonic() - began

    def told():
        return sum(int(m[1]) for m in re.finditer(
            r"REVOKED: (\d+) more\n", daemon.log())) + \
            sum(1 + int(m[1] or 0) for m in re.finditer(
                r"REVOKED: jt_.*? for uid \d+(?:, and (\d+) more)?\n",
                daemon.log()))
    rig.until(lambda: told() == n, 5 * rig.PATIENCE, f"{n} refusals told")
    lines = refused(daemon)
    assert 3 <= len(lines) <= spent + 3, lines
    uid = os.getuid()
    assert re.search(rf"jetond: refused REVOKED: {tokens[0][:24]} "
                     rf"for uid {uid}, and \d+ more$", lines[1])
    for t in tokens:
        assert not any(t[24:30] in x for x in lines)


def test_of_what_is_no_token_of_ours_nothing_is_logged(site):
    daemon = start(site, "--workers", "1", "--log-refusals", "1")
    token = site.create()
    values = ["hunter2-hunter2", "x" * 64, rig.mistyped(token, 50),
              token + " ", token[:-1], "jt_live_\nforged", ""]
    with site.client() as c:
        words = {c.verify(v).word for v in values}
        assert words == {"MALFORMED", "MISTYPED", "WHITESPACE", "MISSING"}
        strange = rig.other_secret(token)
        assert c.verify(strange).word == "UNKNOWN"
    rig.until(lambda: len(refused(daemon)) >= 5, 5, "a line for each word")
    log = daemon.log()
    for v in values:
        for at in range(0, len(v) - 5):
            assert v[at:at + 6] not in log or v[at:at + 6] in token[:24], v
    assert f"refused UNKNOWN: {token[:24]} " in log
    assert log.count(token[:24]) == 1
