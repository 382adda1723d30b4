"""jeton-bench: each verb runs to its end on a small load, and says what it
found; the page that joins their findings is one file of well-formed HTML."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

import rig

BENCH = str(rig.BIN / "jeton-bench")
MEASURE = pathlib.Path(__file__).parents[2] / "bench" / "measure.sh"
VERBS = ["run", "inprocess", "table", "restart", "revoke", "mutate"]
SMALL = ["--tokens", "10000", "--slice-ms", "20", "--rounds", "2"]


def bench(*args, ok=True):
    p = subprocess.run([BENCH, *map(str, args)], capture_output=True,
                       text=True, timeout=300)
    assert not ok or p.returncode == 0, p.stdout + p.stderr
    return p


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """All verbs once; their findings by name."""
    at = tmp_path_factory.mktemp("found")
    run = bench("run", *SMALL, "--warm-ms", 5, "--open-rounds", 2,
                "--connections", 8, "--keep-all", "--json", at / "run.json",
                "--percentiles", at)
    bench("inprocess", *SMALL, "--keep-all", "--json", at / "inprocess.json")
    bench("table", "--sizes", "1000,20000", "--rounds", 2, "--slice-ms", 10,
          "--keep-all", "--json", at / "table.json")
    page = bench("page", at / "run.json", at / "inprocess.json",
                 at / "table.json", "--html", at / "bench.html",
                 "--commit", "0123abc")
    return at, run.stdout, page.stdout


def findings(found, verb):
    return json.loads((found[0] / f"{verb}.json").read_text())


def test_every_subject_was_measured_at_every_depth(found):
    cells = {(c["name"], c["pipeline"]): c for c in
             findings(found, "run")["cells"]}
    for depth in 1, 16, 64:
        for name in ("floor", "echo", "get", "eval", "packed", "memcached",
                     "jeton", "twin"):
            cell = cells[name, depth]
            assert cell["requests_per_s"]["median"] > 0
            assert cell["server_cpu_ns_per_request"]["median"] > 0
            assert cell["client_cpu_ns_per_request"]["median"] > 0
    for name in "http", "bare":
        assert cells[name, 1]["requests_per_s"]["median"] > 0
    for name in "zipf", "unknown", "mistyped", "hot", "limited":
        assert cells[name, 64]["requests_per_s"]["median"] > 0


def test_floors_answer_at_jetons_lengths(found):
    cells = {(c["name"], c["pipeline"]): c["reply_bytes"]["median"] for c in
             findings(found, "run")["cells"]}
    for name in "floor", "echo":
        assert abs(cells[name, 1] - cells["jeton", 1]) <= 3
    assert abs(cells["bare", 1] - cells["http", 1]) <= 40


def test_nobody_was_admitted_beyond_the_limit(found):
    for verb in "run", "table":
        goals = {g["key"]: g["median"] for g in findings(found, verb)["goals"]}
        assert goals["admitted_beyond"] == 0
    assert re.search(r"the limited token: admitted [1-9]\d* times, "
                     r"refused \d+ times; beyond its limit: 0", found[1])


def test_goals_that_a_verb_measures_are_among_its_findings(found):
    keys = {g["key"] for v in ("run", "inprocess", "table")
            for g in findings(found, v)["goals"]}
    assert keys >= {"cpu_p1_floor", "rate_p1_get", "rate_p64_get",
                    "rate_p64_eval", "rate_p64_floor", "open_p99_get",
                    "rate_unknown_valid", "admitted_beyond",
                    "socket_inprocess", "hot_two"}
    assert "not measured (jeton-bench restart)" in found[2]


@pytest.mark.parametrize("name", ["jeton-25", "jeton-70", "get-50"])
def test_curves_are_in_hdrhistograms_layout(found, name):
    lines = (found[0] / f"{name}.hgrm").read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount",
                                "1/(1-Percentile)"]
    rows = [line.split() for line in lines[2:] if not line.startswith("#")]
    values = [float(r[0]) for r in rows]
    assert len(rows) > 10 and values == sorted(values)
    assert float(rows[-1][1]) == 1.0
    assert [line[:5] for line in lines[-3:]] == ["#[Mea", "#[Max", "#[Buc"]


class Page(HTMLParser):
    """Every tag that is opened is closed; attributes are collected."""
    VOID = {"meta", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}>"


def test_the_page_is_whole_and_loads_nothing(found):
    text = (found[0] / "bench.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.open
    assert not re.search(r"https?://|url\(|@import", text)
    assert not {k for k, _ in page.attributes} & {"src", "href", "xlink:href",
                                                  "onload", "onclick"}
    assert not set(page.tags) & {"script", "link", "iframe", "img", "object"}
    assert "commit 0123abc" in text


def test_every_svg_is_well_formed_and_draws_within_its_bounds(found):
    text = (found[0] / "bench.html").read_text()
    svgs = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(svgs) >= 10
    for svg in svgs:
        root = ET.fromstring(svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        for path in root.iter("path"):
            if "line" not in path.get("class"):
                continue
            points = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d"))
            assert points
            for x, y in points:
                assert 0 <= float(x) <= width and 0 <= float(y) <= height
        for rect in root.iter("rect"):
            assert 0 <= float(rect.get("width")) <= width


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_a_browser_shows_the_page(found, tmp_path):
    shot = tmp_path / "page.png"
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu",
                    "--hide-scrollbars", "--window-size=1200,2000",
                    f"--user-data-dir={tmp_path / 'profile'}",
                    f"--screenshot={shot}", f"file://{found[0]}/bench.html"],
                   capture_output=True, timeout=120, check=True)
    assert shot.stat().st_size > 50000


def test_a_file_without_findings_is_refused_by_name(tmp_path):
    odd = tmp_path / "odd.json"
    for text in "", "[]", '{"goals": 1}', "{":
        odd.write_text(text)
        p = bench("page", odd, "--html", tmp_path / "x.html", ok=False)
        assert p.returncode == 1
        assert "odd.json" in p.stderr and p.stderr.count("\n") == 1
        assert not (tmp_path / "x.html").exists()


def test_goals_only_measures_what_goals_stand_on_and_no_more(tmp_path):
    bench("run", *SMALL, "--goals-only", "--warm-ms", 5, "--open-rounds", 2,
          "--connections", 8, "--keep-all", "--subjects",
          "floor,echo,get,eval,packed,jeton", "--json", tmp_path / "run.json",
          "--percentiles", tmp_path)
    found = json.loads((tmp_path / "run.json").read_text())
    assert {g["key"] for g in found["goals"]} == {
        "cpu_p1_floor", "rate_p1_get", "rate_p64_get", "rate_p64_eval",
        "rate_p64_floor", "open_p99_get", "rate_unknown_valid",
        "admitted_beyond"}
    cells = {(c["name"], c["pipeline"]) for c in found["cells"]}
    assert ("get", 16) in cells and ("jeton", 16) not in cells
    assert ("eval", 1) not in cells and ("zipf", 64) not in cells
    assert sorted(p.name for p in tmp_path.glob("*.hgrm")) == [
        "floor-70.hgrm", "get-70.hgrm", "jeton-70.hgrm"]


def test_slices_too_short_to_be_clean_still_give_every_figure(tmp_path):
    """Any tick of the clock is more of 15 ms than a slice may lose; whatever
    happens to them, there is a figure, and if need be it says what of."""
    p = bench("table", "--sizes", "1000", "--rounds", 2, "--slice-ms", 15,
              "--retake-s", 1, "--json", tmp_path / "table.json")
    found = json.loads((tmp_path / "table.json").read_text())
    assert "NOT MEASURED" not in p.stdout + p.stderr
    assert {r["n"] for r in found["ratios"]} == {2}
    for r in found["ratios"]:
        disturbed = r["stolen"] > 0.01 or r["foreign"] > 0.02
        assert disturbed == (r["stolen"] > 0 or r["foreign"] > 0)


# ---- all verbs, one after the other ----

@pytest.fixture
def measured(tmp_path):
    """Run measure.sh with verbs that do nothing, or fail if FAIL names them."""
    fake = tmp_path / "jeton-bench"
    fake.write_text("""#!/bin/sh
verb=$1
echo "$@" >>"${0%/*}/log"
case " $FAIL " in *" $verb "*) exit 1 ;; esac
while [ $# -gt 0 ]; do
    [ "$1" != --json ] || echo '{"goals": []}' >"$2"
    shift
done
""")
    fake.chmod(0o755)

    def run(how="quick", fail=""):
        p = subprocess.run([MEASURE, tmp_path, how], capture_output=True,
                           text=True, timeout=60,
                           env={**os.environ, "FAIL": fail})
        log = tmp_path / "log"
        return p, log.read_text().splitlines() if log.exists() else []
    run.results = tmp_path / "results"
    return run


@pytest.mark.parametrize("how", ["quick", "full"])
def test_every_verb_runs_and_the_page_takes_all_they_found(measured, how):
    p, log = measured(how)
    assert p.returncode == 0, p.stderr
    assert [line.split()[0] for line in log] == VERBS + ["page"]
    assert all(f"/{verb}.json" in log[-1] for verb in VERBS)


def test_a_verb_that_fails_stops_none_behind_it_and_is_named(measured):
    p, log = measured(fail="run restart")
    assert p.returncode == 1
    assert [line.split()[0] for line in log] == VERBS + ["page"]
    assert "/run.json" not in log[-1] and "/table.json" in log[-1]
    [line] = p.stderr.splitlines()
    assert line.startswith("bench: FAILED: run restart;")


def test_if_every_verb_fails_there_is_no_page(measured):
    p, log = measured(fail=" ".join(VERBS))
    assert p.returncode == 1
    assert [line.split()[0] for line in log] == VERBS
    assert "FAILED: " + " ".join(VERBS) + ";" in p.stderr


def test_a_failing_page_is_a_failure(measured):
    p, _ = measured(fail="page")
    assert p.returncode == 1 and "FAILED: page;" in p.stderr


def test_what_an_earlier_run_left_is_not_mixed_in(measured):
    measured.results.mkdir()
    for name in "run.json", "older.json", "jeton-25.hgrm", "bench.html":
        (measured.results / name).write_text("{}")
    p, log = measured(fail="run")
    assert p.returncode == 1
    assert "/run.json" not in log[-1] and "older" not in log[-1]
    assert {f.name for f in measured.results.iterdir()} == {
        f"{verb}.json" for verb in VERBS[1:]}


def test_an_unknown_measure_is_a_usage_error_and_deletes_nothing(measured):
    measured.results.mkdir()
    (measured.results / "run.json").write_text("{}")
    p, log = measured("quickly")
    assert p.returncode == 2 and "usage" in p.stderr and log == []
    assert (measured.results / "run.json").exists()


def test_flags_out_of_range_are_refused():
    for args in (["run", "--pipelines", "0"], ["run", "--subjects", "nobody"],
                 ["table", "--sizes", "1,x"], ["page"], ["table", "more"]):
        p = bench(*args, ok=False)
        assert p.returncode == 2, args
        assert p.stderr
