"""The configuration file on real binaries: checked, printed, read again."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

import rig
from rig import lines, until

FILE = """# all kinds of things
[jetond]
workers = 1
http-listen =

[policy web]
env = live
scope = orders:read
\torders:write
cost = 2
credentials = bearer basic
legacy-headers = delta
hide-verdict = yes

[policy default]
cost = 0

[peer us]
uid = {uid}
see = owner scopes
attach = spend
refusals = 100/s

[peer rest]
verify = live test
see = none
"""


def conf(site, text=FILE, name="jetond.conf"):
    path = site.root / name
    path.write_text(text.replace("{uid}", str(os.geteuid())))
    return path


def jetond(site, *flags, env=None):
    return subprocess.run([rig.JETOND, *map(str, flags)], timeout=20,
                          env=env or site.env, capture_output=True, text=True)


def content(text):
    """What a file says, comments apart."""
    return [x for x in lines(text) if not x.startswith("#")]


# ---- check and print ----

def test_a_good_file_is_checked_without_a_word(site):
    p = jetond(site, "--config", conf(site), "--check-config")
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "")
    assert not site.data.exists() and not site.run.exists()


@pytest.mark.parametrize("mode", ["--check-config", "--print-config", None])
@pytest.mark.parametrize("text,line", [
    ("[nosuch]\n", 1), ("[jetond]\nnosuch = 1\n", 2),
    ("[jetond]\nworkers = many\n", 2), ("[jetond]\n[jetond]\n", 2),
    ("[policy a]\n\n[policy a]\n", 3), ("[peer a]\nuid = 1\ngid = 1\n", 3),
    ("#" * 191 + "\n", 1), ("\n# \xff\n", 2), ("[jetond]\n# \0\n", 2),
    ("".join(f"[peer p{i}]\n" for i in range(65)), 65)])
def test_a_bad_file_is_one_line_and_78(site, mode, text, line):
    path = site.root / "bad.conf"
    path.write_bytes(text.encode("latin-1"))
    p = jetond(site, "--config", path, *([mode] if mode else []))
    assert (p.returncode, p.stdout) == (78, "")
    assert len(lines(p.stderr)) == 1
    assert p.stderr.startswith(f"jetond: {path}:{line}: ") and ";" in p.stderr
    assert not site.data.exists(), "it began to serve"


@pytest.mark.parametrize("flags", [["--config", "/no/such/file"],
                                   ["--config", "/"], ["--config", ""]])
def test_a_file_that_cannot_be_read_is_78(site, flags):
    p = jetond(site, *flags, "--check-config")
    assert p.returncode == 78 and len(lines(p.stderr)) == 1


@pytest.mark.parametrize("text,rc", [("[policy a]\n", 0), ("[x]\n", 78),
                                     (None, 0)])
def test_roots_file_is_read_when_it_is_there(site, text, rc):
    path = "/etc/jeton/jetond.conf"
    make = "" if text is None else f"printf %s '{text}' >{path};"
    # root needs no user namespace, which may be forbidden
    space = "-m" if os.geteuid() == 0 else "-rm"
    p = subprocess.run(
        ["unshare", space, "sh", "-c", "mount -t tmpfs none /etc && "
         f"mkdir /etc/jeton && {make} exec {rig.JETOND} --check-config"],
        env=site.env, capture_output=True, text=True, timeout=20)
    assert p.returncode == rc, p.stderr
    assert (f"{path}:1: " in p.stderr) == (rc == 78)


def test_a_token_pasted_into_the_file_is_not_repeated(site):
    site.cli("init")
    token = site.create("x")
    for text in (token, f"[{token}]", f"[policy {token}]",
                 f"[jetond]\n{token}", f"[jetond]\n{token} = 1",
                 f"[jetond]\nworkers = {token}", f"[jetond]\nenv = {token}",
                 f"[jetond]\nhttp-listen = {token}",
                 f"[policy a]\nscope = {token}", f"[peer a]\nuid = {token}"):
        p = jetond(site, "--config", conf(site, text), "--check-config")
        assert p.returncode == 78, text
        assert token[24:40] not in p.stderr and token[:24] not in p.stderr


def test_what_is_printed_is_a_file_that_means_the_same(site):
    env = {**site.env, "JETON_CAPACITY": "777"}
    first = jetond(site, "--config", conf(site), "--connections", 9,
                   "--print-config", env=env)
    assert first.returncode == 0 and first.stderr == ""
    for comment, line in ((r"environment JETON_CAPACITY", "capacity = 777"),
                          (r"flag --connections", "connections = 9"),
                          (r"\S+/jetond.conf:3", "workers = 1"),
                          (r"default", "http-workers = 1"),
                          (r"\S+/jetond.conf:10", "cost = 2"),
                          (r"environment JETON_DATA", f"data = {site.data}")):
        assert re.search(f"^# {comment}\n{re.escape(line)}$", first.stdout,
                         re.M), (comment, line)
    bare = {k: v for k, v in env.items() if not k.startswith("JETON_")}
    again = jetond(site, "--config", conf(site, first.stdout, "again"),
                   "--print-config", env=bare)
    assert again.returncode == 0, again.stderr
    assert content(again.stdout) == content(first.stdout)


def test_output_that_cannot_be_written_is_no_success(site):
    with open("/dev/full", "w") as full:
        p = subprocess.run([rig.JETOND, "--print-config"], env=site.env,
                           stdout=full, stderr=subprocess.PIPE, text=True)
    assert p.returncode == 78 and len(lines(p.stderr)) == 1


# ---- SIGHUP ----

def said(daemon, word):
    return lambda: word in daemon.log()


def test_a_changed_file_is_read_at_sighup(site):
    path = conf(site)
    daemon = site.start("--config", path)
    token = site.create("x")
    assert site.status()["policies"] == 2
    conf(site, FILE + "[policy more]\n")
    daemon.process.send_signal(signal.SIGHUP)
    until(said(daemon, "3 policies, 2 peers"), 5, "read again")
    status = site.status()
    assert (status["policies"], status["peers"]) == (3, 2)
    assert status["settings"] == ""
    assert site.word(token) == "VALID"
    assert "differ" not in daemon.log()


def test_a_bad_file_changes_nothing_and_status_says_so(site):
    path = conf(site)
    daemon = site.start("--config", path)
    conf(site, FILE + "[policy more]\ncost = x\n")
    daemon.process.send_signal(signal.SIGHUP)
    n = len((FILE + "[policy more]\ncost = x\n").splitlines())
    until(said(daemon, f"{path}:{n}: "), 5, "the line")
    status = site.status()
    assert f"{path}:{n}: " in status["settings"]
    assert status["health"] == "ok" and status["policies"] == 2
    assert f"{path}:{n}: " in site.cli("status").out
    assert "policies" not in daemon.log()
    path.unlink()  # gone: not a reason to forget who may do what
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "is gone" in site.status()["settings"] or
          "no such file" in site.status()["settings"], 5, "gone")
    conf(site)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: site.status()["settings"] == "", 5, "good again")
    assert daemon.stop() == 0


def test_what_needs_a_restart_is_named(site):
    daemon = site.start("--config", conf(site), "--connections", 77)
    conf(site, FILE.replace("workers = 1", "workers = 2\ncapacity = 99\n"
                                           "connections = 5"))
    daemon.process.send_signal(signal.SIGHUP)
    until(said(daemon, "differ"), 5, "the warning")
    line = next(x for x in lines(daemon.log()) if "differ" in x)
    assert line.endswith(": workers, capacity")
    assert len(daemon.worker_pids()) == 1


def test_sighup_before_serving_is_no_end(site):
    site.cli("init")
    path = conf(site)

    def waits():
        """Asked too early, it would not be jetond yet, but its loader."""
        status = open(f"/proc/{daemon.pid}/status").read()
        return int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16) & 1

    for pause in (0, 0.001, 0.003, 0.01, 0.03):
        daemon = site.start("--config", path, wait=False)
        until(waits, 5, "SIGHUP is blocked", step_s=0.0001)
        time.sleep(pause)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait()
        until(said(daemon, "settings read"), 5, "read again")
        assert daemon.stop() == 0


def test_sighup_while_waiting_for_a_predecessor_is_kept(site):
    path = conf(site)
    first = site.start("--config", path)
    second = site.start("--config", path, wait=False)
    until(said(second, "waiting for"), 5, "it waits")
    second.process.send_signal(signal.SIGHUP)
    assert first.stop() == 0
    second.wait()
    until(said(second, "settings read"), 5, "read again")


def test_workers_are_not_replaced_by_sighup(site):
    daemon = site.start("--config", conf(site))
    before = site.everybody()
    for _ in range(20):
        daemon.process.send_signal(signal.SIGHUP)
    until(said(daemon, "settings read"), 5, "read again")
    assert site.everybody() == before


# ---- the log ----

def test_json_log_is_an_object_a_line(site):
    daemon = site.start("--log-format", "json", "--config", conf(site))
    daemon.process.send_signal(signal.SIGHUP)
    until(said(daemon, "settings read"), 5, "read again")
    os.kill(daemon.worker_pids()[0], signal.SIGKILL)
    until(said(daemon, "killed by signal 9"), 5, "told")
    daemon.stop()
    objects = [json.loads(x) for x in lines(daemon.log())]
    assert len(objects) >= 4
    for o in objects:
        assert set(o) == {"time", "level", "message", "pid"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                            o["time"])
    assert {o["level"] for o in objects} >= {"notice", "warning"}
    assert objects[0]["pid"] == daemon.pid


def test_json_log_escapes_what_is_in_a_name(site):
    path = site.root / 'a"b\\cé'
    path.write_text("[nosuch]\n")
    p = jetond(site, "--log-format", "json", "--config", path)
    assert json.loads(p.stderr)["message"].startswith(f"{path}:1: ")
    bytes_path = os.fsencode(site.root) + b"/\xff\xfe"
    with open(bytes_path, "w") as f:
        f.write("[nosuch]\n")
    p = subprocess.run([rig.JETOND, "--log-format=json", "--config",
                        bytes_path], env=site.env, capture_output=True)
    assert "/\ufffd\ufffd:1: " in json.loads(p.stderr.decode())["message"]


def test_priorities_stand_before_plain_lines_under_systemd_only(site):
    env = {**site.env, "JOURNAL_STREAM": "8:1"}
    bad = conf(site, "[nosuch]\n")
    assert jetond(site, "--config", bad, env=env).stderr.startswith("<3>")
    assert jetond(site, "--config", bad).stderr.startswith("jetond: ")
    p = jetond(site, "--config", bad, "--log-format", "json", env=env)
    assert json.loads(p.stderr)["level"] == "error"
