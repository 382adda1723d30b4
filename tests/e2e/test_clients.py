"""Real clients. One that is missing fails its test: none is ever skipped."""
import os
import pty
import re
import select
import shutil
import subprocess
import termios
import time

import pytest
import redis

import rig


def redis_cli(site, *args, input=None, rc=0):
    p = subprocess.run(["redis-cli", "-s", site.sock, *map(str, args)],
                       input=input, capture_output=True, text=True, timeout=60)
    assert p.returncode == rc, p
    assert not p.stderr, p.stderr
    return p.stdout


@pytest.fixture(scope="module")
def token(shared):
    return shared.create("a token")


# ---- redis-cli ----

@pytest.mark.parametrize("flags", [["-2"], ["-3"]])
def test_redis_cli_takes_the_value_from_stdin(shared, token, flags):
    if flags == ["-2"]:
        flags = []  # 7.0 knows only -3
    out = redis_cli(shared, *flags, "-x", "VERIFY", input=token).splitlines()
    assert out[:3] == ["VALID", "200", token[:24]] and len(out) == 11
    out = redis_cli(shared, *flags, "-x", "VERIFY", input=token + "\n")
    assert out.splitlines()[0] == "WHITESPACE"


def test_redis_cli_reads_commands_from_stdin(shared, token):
    out = redis_cli(shared, input=f"PING\nVERIFY {token}\nPING again\n"
                    f"MVERIFY 2 {token} x\nNOSUCH\nPING end\n").splitlines()
    assert out[:2] == ["PONG", "VALID"]
    assert out[12] == "again" and out[13] == "VALID" and out[24] == "MALFORMED"
    assert any("unknown command 'NOSUCH'" in x for x in out)
    assert out[-1] == "end"


def test_redis_cli_pipe_mode_ends_with_no_error(shared, token):
    commands = rig.encode("VERIFY", token) * 5000
    p = subprocess.run(["redis-cli", "-s", shared.sock, "--pipe"],
                       input=commands, capture_output=True, timeout=60)
    assert p.returncode == 0
    assert b"errors: 0, replies: 5000" in p.stdout


def test_redis_cli_pipe_mode_counts_errors(shared):
    p = subprocess.run(["redis-cli", "-s", shared.sock, "--pipe"],
                       input=rig.encode("NOSUCH") * 7 + rig.encode("PING"),
                       capture_output=True, timeout=60)
    assert b"errors: 7, replies: 8" in p.stdout


@pytest.mark.parametrize("flags", [[], ["-3"]])
def test_redis_cli_on_a_terminal_hints_at_our_commands(shared, flags):
    """It asks COMMAND DOCS at start and shows the arguments as one types."""
    pid, fd = pty.fork()
    if pid == 0:
        termios.tcsetwinsize(0, (40, 160))
        os.environ.update(TERM="xterm", HOME=str(shared.root),
                          REDISCLI_HISTFILE="/dev/null")
        os.execvp("redis-cli", ["redis-cli", *flags, "-s", str(shared.sock)])
    seen = b""

    def saw(text, within_s=10):
        """Wait for it; what came up to it is then forgotten."""
        nonlocal seen
        end = time.monotonic() + within_s
        while text not in seen and time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                seen += os.read(fd, 65536)
        before, found, seen = seen.partition(text)
        return found or pytest.fail(f"no {text} in {before}")

    assert saw(b"> ")
    os.write(fd, b"VERIFY ")
    assert saw(b"token [ENV environment] [SCOPE scope")
    os.write(fd, b"\x15PING\r")  # ctrl-U
    assert saw(b"PONG\r\n") and saw(b"> ")
    os.write(fd, b"help verify\r")
    assert saw(b"summary:") and saw(b"> ")
    os.write(fd, b"quit\r")
    os.waitpid(pid, 0)
    os.close(fd)


def test_command_describes_exactly_what_there_is(shared):
    with shared.client(proto=3) as c:
        names = {n.decode() for n in c("COMMAND", "LIST")}
        top = {n for n in names if "|" not in n}
        assert c("COMMAND", "COUNT") == len(top) == len(c("COMMAND"))
        docs = c("COMMAND", "DOCS")
        assert {k.decode() for k in docs} == top
        for name, doc in docs.items():
            assert doc[b"summary"] and doc[b"since"] and doc[b"group"]
        assert {"verify", "mverify", "stats", "hello", "info"} <= names
        assert c("COMMAND", "INFO", "nosuch") == [None]
        [info] = c("COMMAND", "INFO", "VERIFY")
        assert info[0] == b"verify" and info[1] == -2
        for name in names - {"quit"}:
            reply = c(*name.split("|"))
            assert not (isinstance(reply, rig.Error) and
                        "unknown" in reply), name


# ---- redis-benchmark ----

def benchmark(site, *args):
    p = subprocess.run(["redis-benchmark", "-s", site.sock, "-q",
                        *map(str, args)], capture_output=True, text=True,
                       timeout=120)
    said = p.stdout + p.stderr
    assert p.returncode == 0, said
    assert "rror" not in said and "WARNING" not in said, said
    assert re.search(r"requests per second", said), said


def test_redis_benchmark_ping(shared):
    benchmark(shared, "-t", "ping_inline,ping_mbulk", "-n", 20000)


@pytest.mark.parametrize("flags", [[], ["-3"]])
def test_redis_benchmark_verify_pipelined(shared, token, flags):
    with shared.client() as c:
        before = c.stats()["verdict_VALID"]
        benchmark(shared, "-P", 16, "-c", 20, "-n", 64000, *flags, "VERIFY",
                  token)
        assert c.stats()["verdict_VALID"] - before >= 64000


# ---- python3-redis ----

def test_python_redis_pipelines(shared, token):
    r = redis.Redis(unix_socket_path=str(shared.sock))
    pipe = r.pipeline(transaction=False)
    for i in range(1000):
        pipe.execute_command("VERIFY", token if i % 3 else "x")
    got = [rig.verdict(v).word for v in pipe.execute()]
    assert got == ["VALID" if i % 3 else "MALFORMED" for i in range(1000)]
    assert r.ping() and r.echo("hello") == b"hello"
    assert r.info()["loading"] == 0
    with pytest.raises(redis.ResponseError, match="unknown command"):
        r.get("x")


def test_python_redis_comes_back_after_a_restart(site):
    daemon = site.start("--workers", "1")
    token = site.create()
    r = redis.Redis(unix_socket_path=str(site.sock), retry_on_timeout=True)
    assert rig.verdict(r.execute_command("VERIFY", token)).word == "VALID"
    daemon.stop()
    with pytest.raises(redis.ConnectionError):
        r.execute_command("VERIFY", token)
    site.start("--workers", "1")
    assert rig.verdict(r.execute_command("VERIFY", token)).word == "VALID"


def test_python_redis_as_a_named_user_and_with_a_password(shared, token):
    r = redis.Redis(unix_socket_path=str(shared.sock), client_name="shop",
                    username="default", password="x")
    assert r.client_getname() == "shop"
    r = redis.Redis(unix_socket_path=str(shared.sock), username="bob",
                    password="x")
    with pytest.raises(redis.ResponseError, match="WRONGPASS"):
        r.ping()


# ---- Node ----

@pytest.mark.parametrize("script,package,major", [
    ("node_redis.mjs", "redis", "6"), ("ioredis.mjs", "ioredis", "6")])
def test_node_client(site, script, package, major):
    manifest = rig.INTEROP / "node_modules" / package / "package.json"
    assert manifest.exists(), "run `make deps-test`"
    assert f'"version": "{major}.' in manifest.read_text()
    for name in ("session.mjs", script):  # imports are found from there
        shutil.copy(rig.ROOT / "tests/interop" / name, rig.INTEROP / name)
    daemon = site.start("--workers", "2")
    token = site.create()
    p = subprocess.Popen([rig.node(), rig.INTEROP / script], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT,
                         env={**os.environ, "JETON_SOCK": str(site.sock)})
    try:
        p.stdin.write(token + "\n")
        p.stdin.flush()
        line = p.stdout.readline()
        assert line == "RESTART\n", line + p.stdout.read()
        daemon.stop()
        time.sleep(0.3)  # so that it meets a missing socket too
        site.start("--workers", "2")
        said, _ = p.communicate("go\n", timeout=30)
        assert said == "DONE\n" and p.returncode == 0, said
    finally:
        p.kill()
        p.wait()


def test_the_lock_file_names_no_address():
    text = (rig.ROOT / "tests/interop/package-lock.json").read_text()
    assert '"resolved"' not in text
    assert text.count('"integrity"') >= 14
