#!/usr/bin/python3
"""The rows of the failure matrix, each with its tests, their results and
last figures: report.py [BUILD_DIR]; --names: only whether the tests exist.

matrix.txt names the rows and their tests. BUILD_DIR/results/tests holds what
the last runs left: unit.xml and e2e*.xml in JUnit's form, and of each program
a log that begins with `$ NAME ARGUMENTS` and ends with `exit N` (result.sh).
Exit 1 when a test that a row names does not exist, has failed or did not run,
or when rows that must have a test have none.
"""
import re
import sys
from collections import namedtuple
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
MUST = {*range(1, 15), *range(20, 26), 28, 31, 33, 38, *range(40, 48), 50, 52,
        53, 56, 58, 60}
ROWS, TESTED_MIN = 60, 54

Row = namedtuple("Row", "number fault required tests whys")
Result = namedtuple("Result", "ok figure")


def read_matrix():
    rows = []
    for line in (HERE / "matrix.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if not line.startswith("\t"):
            number, fault, required = line.split(" | ")
            rows.append(Row(int(number), fault, required, [], []))
            continue
        kind, what = line.strip().split(" ", 1)
        if kind == "none":
            rows[-1].whys.append(what)
        else:
            rows[-1].tests.append((kind, what))
    assert [r.number for r in rows] == list(range(1, ROWS + 1)), "rows"
    return rows


# ---- do they exist? ----

def exists(kind, what):
    if kind == "unit":
        suite, name = what.split("/")
        texts = (p.read_text() for p in HERE.glob("test_*.c"))
        # Both(): in the suite and in its twin, test_loop.c
        pattern = rf"\bTest\({suite},\s*{name}\b|^Both\({name}\b"
    elif kind == "e2e":
        file, name = what.split("::")
        path = HERE / "e2e" / file
        texts = [path.read_text()] if path.exists() else []
        pattern = rf"^def {name}\("
    elif kind in ("program", "fuzz"):
        return (HERE / f"{what.split()[0]}.c").exists()
    elif kind == "plant":
        return (HERE / f"plants/{what}.patch").exists()
    else:
        return False
    return any(re.search(pattern, t, re.M) for t in texts)


# ---- how did they end? ----

def short(seconds):
    return f"{float(seconds or 0):.2f} s"


def read_junit(path, name_of, results):
    for suite in ElementTree.parse(path).iter("testsuite"):
        for case in suite.iter("testcase"):
            if case.find("skipped") is not None:
                continue
            name = name_of(suite, case)
            bad = any(case.find(x) is not None for x in ("failure", "error"))
            figures = [p.get("value") for p in case.iter("property")
                       if p.get("name") == "figure"]
            asserted = int(case.get("assertions") or 0)
            if asserted:
                figures.append(f"{asserted} assertions")
            figure = "; ".join(figures) or short(case.get("time"))
            old = results.get(name, Result(True, ""))
            if old.figure and not figures:  # of parameters: the sum
                n = int((re.match(r"(\d+) cases", old.figure) or [0, 1])[1])
                figure = f"{n + 1} cases"
            results[name] = Result(old.ok and not bad, figure)


def read_log(path, results, logs):
    said = path.read_text(errors="replace").splitlines()
    if not said or not said[0].startswith("$ "):
        return
    ok = said[-1] == "exit 0"
    for line in said:
        killed = re.match(r"mutants: (\S+) (killed|SURVIVES)", line)
        if killed:
            results["plant", killed[1]] = Result(killed[2] == "killed", "killed")
    marks = (r"\blost \d+ of", r"executed_units", r"^figure ", r"\d+ checks",
             r"\d")
    body = said[1:-1]
    figure = next((x for m in marks for x in reversed(body)
                   if re.search(m, x)), "")
    figure = re.sub(r"^(figure |\w+: |stat::)", "", figure)
    logs.append((said[0][2:].split(), Result(ok, figure)))


def read_results(directory):
    results, logs = {}, []
    for path in sorted(directory.glob("*.xml")):
        if path.name.startswith("unit"):
            read_junit(path, lambda s, c: (
                "unit", f"{s.get('name')}/{c.get('name')}"), results)
        else:
            read_junit(path, lambda s, c: (
                "e2e", f"{c.get('classname').rsplit('.', 1)[-1]}.py::"
                f"{c.get('name').split('[')[0]}"), results)
    for path in sorted(directory.glob("*.log")):
        read_log(path, results, logs)
    return results, logs


def result_of(kind, what, results, logs):
    if kind in ("unit", "e2e", "plant"):
        return results.get((kind, what))
    found = [r for words, r in logs
             if words[0] == what.split()[0] and set(what.split()) <= set(words)]
    return Result(all(r.ok for r in found), found[-1].figure) if found else None


# ---- the table ----

def main():
    names_only = sys.argv[1:] == ["--names"]
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build/release")
    rows, bad = read_matrix(), []
    for row in rows:
        bad += [f"row {row.number}: no test {kind} {what}"
                for kind, what in row.tests if not exists(kind, what)]
    if names_only:
        print("\n".join(bad) or "matrix: every test that it names exists")
        return bool(bad)
    results, logs = read_results(build / "results/tests")
    for row in rows:
        print(f"{row.number:2}  {row.fault}\n    must: {row.required}")
        for kind, what in row.tests:
            r = result_of(kind, what, results, logs)
            word = "not run" if r is None else "passed" if r.ok else "FAILED"
            print(f"    {word:7} {kind} {what}: {r.figure if r else '-'}")
            if word != "passed":
                bad.append(f"row {row.number}: {word}: {kind} {what}")
        for why in row.whys:
            print(f"    not tested: {why}")
    tested = {r.number for r in rows if r.tests}
    print(f"\n{len(tested)} of {ROWS} rows have tests, "
          f"{sum(len(r.tests) for r in rows)} in all")
    bad += [f"row {n}: must have a test" for n in sorted(MUST - tested)]
    if len(tested) < TESTED_MIN:
        bad.append(f"fewer than {TESTED_MIN} rows have a test")
    print("\n".join(bad) or "all passed")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
