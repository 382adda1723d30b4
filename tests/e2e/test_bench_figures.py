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
    bench("restart", "--tokens", 1, "--rounds", 1, "--tmp", short)
    assert not os.listdir(short)
