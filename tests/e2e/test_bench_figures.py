"""jeton-bench restart, revoke, mutate: each runs to its end on a small load
and writes findings that the page takes."""
import json
import os
import re
import subprocess
import tempfile

import pytest

import rig

BENCH = str(rig.BIN / "jeton-bench")


def bench(*args, rc=0, env=None):
    p = subprocess.run([BENCH, *map(str, args)], capture_output=True,
                       text=True, timeout=300, env={**os.environ, **(env or {})})
    assert p.returncode == rc, p.stdout + p.stderr
    return p


def ratios(found, words):
    return [r for r in found["ratios"] if words in r["words"]]


@pytest.fixture
def short():
    with tempfile.TemporaryDirectory(prefix="jb", dir="/tmp") as path:
        yield path


@pytest.fixture(scope="module")
def restart(tmp_path_factory):
    at = tmp_path_factory.mktemp("restart")
    p = bench("restart", "--tokens", 2000, "--rounds", 2, "--keep-all",
              "--json", at / "restart.json")
    return at, p, json.loads((at / "restart.json").read_text())


def test_restart_times_jetond_and_redis_in_the_same_rounds(restart):
    _, p, found = restart
    [one] = ratios(found, "from the journal / Redis")
    assert one["n"] == 2 and 0 < one["low"] <= one["median"] <= one["high"]
    rows = {r[0]: r for t in found["tables"] for r in t["rows"]}
    for way in "jetond, from the journal", "redis-server, from its RDB file":
        assert 0 < float(rows[way][2]) < 60
        assert re.search(rf"{way} +[\d.]+ s ", p.stdout)


def test_restart_tells_a_goal_of_ten_million_tokens_only(restart):
    assert restart[2]["goals"] == []


def test_restart_reads_no_snapshot_that_was_never_written(restart):
    _, p, found = restart
    assert "writes no snapshot" in p.stderr
    assert not ratios(found, "from the snapshot")


def test_restart_deletes_what_it_made(short):
    bench("restart", "--tokens", 1, "--rounds", 1, "--keep-all", "--tmp",
          short)
    assert not os.listdir(short)


@pytest.fixture(scope="module")
def revoke(tmp_path_factory):
    at = tmp_path_factory.mktemp("revoke")
    p = bench("revoke", "--rounds", 12, "--tokens", 1000, "--connections", 4,
              "--json", at / "revoke.json")
    return at, p, json.loads((at / "revoke.json").read_text())


def test_revoke_is_timed_to_its_return_and_to_the_first_refusal(revoke):
    [table] = revoke[2]["tables"]
    rows = {tuple(r[:2]): [float(x) for x in r[2:]] for r in table["rows"]}
    assert len(rows) == 16
    for (_, figure), (p50, low, high, p99) in rows.items():
        assert 0 < low <= p50 <= high <= p99 < 10000
    for where in "as shipped", "cost nothing":
        for load in "no load", "under load":
            cell = f"flushes {'' if where[0] == 'a' else 'that '}{where}, {load}"
            start = rows[cell, "of it the program's start (jeton --version)"]
            whole = rows[cell, "start to return"]
            assert start[0] < 2 * whole[0]


def test_no_valid_came_after_a_revoke_had_returned(revoke):
    flags = revoke[2]["flags"]
    assert flags["valid_after_return_or_refusal"] == 0
    # at least what is asked at each door before and after each revoke
    assert flags["asked"] >= 4 * 12 * 2 * (4 + 60)
    assert all(per_s > 0 for per_s in flags["load_per_s"])
    assert "VALID after the return: socket 0, in process 0" in revoke[1].stdout


def test_revoke_wants_its_memory_to_be_memory(short):
    p = bench("revoke", "--rounds", 1, "--memory", "/proc", "--tmp", short,
              rc=1)
    assert "/proc is no tmpfs" in p.stderr and not os.listdir(short)


MUTATE = ["--rate", 2000, "--batch", 200, "--load", 2000, "--tokens", 2000,
          "--rounds", 2, "--warm-ms", 50, "--keep-all"]


@pytest.fixture(scope="module")
def mutate(tmp_path_factory):
    at = tmp_path_factory.mktemp("mutate")
    p = bench("mutate", *MUTATE, "--slice-ms", 1000, "--json",
              at / "mutate.json")
    return at, p, json.loads((at / "mutate.json").read_text())


def test_mutate_applies_at_the_rate_and_burns_as_much(mutate):
    flags = mutate[2]["flags"]
    # at least one batch of the ten; no more than a batch too many
    assert 200 <= flags["applied_per_s"] <= 2600
    assert flags["batch_cpu_ms"] > 0
    [table] = mutate[2]["tables"]
    rows = {r[0]: [float(x.replace(",", "")) for x in r[1:]]
            for r in table["rows"]}
    used = rows["during bulk creates"][3]
    burnt = rows["beside a process that burns as much"][3]
    assert 0 < used < 2 and 0.5 * used < burnt < 2 * used
    assert rows["alone"][3] == 0 and rows["alone"][4] == 0
    for p50, p99, p999, *_ in rows.values():
        assert 0 < p50 <= p99 <= p999


def test_mutate_compares_within_rounds(mutate):
    [one] = ratios(mutate[2], "p99, bulk creates / burning")
    assert one["n"] == 2 and 0 < one["low"] <= one["median"] <= one["high"]


def test_mutate_tells_a_goal_of_its_rate_only(mutate):
    assert mutate[2]["goals"] == []


def test_mutate_refuses_to_fill_the_disk(short):
    p = bench("mutate", "--rate", 10000000, "--slice-ms", 60000, "--rounds",
              1000, "--tmp", short, rc=1)
    assert "fewer --rounds" in p.stderr and not os.listdir(short)


def test_flags_of_the_figures_are_checked():
    for args in (["restart", "--tokens", "0"], ["restart", "more"],
                 ["revoke", "--rounds", "1001"], ["revoke", "--tokens", "x"],
                 ["mutate", "--rate", "0"], ["mutate", "--pipeline", "513"]):
        assert bench(*args, rc=2).stderr


def test_the_page_takes_what_they_found(restart, revoke, mutate, tmp_path):
    html = tmp_path / "bench.html"
    p = bench("page", restart[0] / "restart.json", revoke[0] / "revoke.json",
              mutate[0] / "mutate.json", "--html", html)
    assert "not measured (jeton-bench mutate)" in p.stdout
    text = html.read_text()
    for title in ("Revoke latency", "Start to first verdict",
                  "Latency while tokens are created"):
        assert title in text
