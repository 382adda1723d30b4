"""tests/examples for real: every client, every class of refusal, no sidecar.

One that is missing fails its tests. Go alone runs only where it is installed;
its test says so by its name.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

import rig

VERIFIERS = ["curl.sh", "verify_redis.py", "verify_http.py",
             "verify_node_redis.mjs", "verify_ioredis.mjs", "verify_http.mjs"]
SCOPE = "orders:read"
SECRET = slice(24, None)


@pytest.fixture(scope="module")
def tokens(shared):
    """A token for each word that a value alone can bring about."""
    good = shared.create("good", "--scope", SCOPE, "--owner", "web")
    made = {"VALID": good, "MISSING": "", "MALFORMED": good[:-1],
            "MISTYPED": rig.mistyped(good, 30),
            "UNKNOWN": rig.other_secret(good)}
    for word, verb in (("REVOKED", "revoke"), ("SUSPENDED", "suspend")):
        made[word] = shared.create(word, "--scope", SCOPE)
        shared.cli(verb, made[word][:24])
    made["EXPIRED"] = shared.create("gone", "--scope", SCOPE, "--expires", "1s")
    rig.until(lambda: shared.word(made["EXPIRED"]) == "EXPIRED", 5, "expiry")
    return made


REFUSED = ["MISSING", "MALFORMED", "MISTYPED", "UNKNOWN", "REVOKED",
           "SUSPENDED", "EXPIRED"]


def no_secret(done, *tokens):
    for token in filter(None, tokens):
        assert token[SECRET] not in done.out + done.err
    return done


# ---- scripts that verify one token ----

def says_each_word(site, command, tokens):
    for by_env in (False, True):
        done = rig.run_example(site, command, tokens["VALID"], by_env=by_env)
        assert done.rc == 0 and "VALID" in done.out, done
        assert tokens["VALID"][:24] in no_secret(done, tokens["VALID"]).out
    for word in REFUSED:
        done = rig.run_example(site, command, tokens[word])
        assert done.rc == 1 and word in done.out + done.err, (word, done)
        assert "401" in done.out + done.err
        no_secret(done, tokens[word])
    if command[-1].endswith("curl.sh"):
        return  # blanks at the ends of a header are not part of it
    done = rig.run_example(site, command, tokens["VALID"] + " ")
    assert done.rc == 1 and "WHITESPACE" in done.out + done.err, done
    no_secret(done, tokens["VALID"])


def says_403_and_429(site, command):
    token = site.create("narrow", "--scope", SCOPE, "--rate", "1/min")
    done = rig.run_example(site, command, token, "orders:write")
    assert done.rc == 1 and "403" in done.out + done.err, done
    assert "INSUFFICIENT_SCOPE" in done.out + done.err
    assert rig.run_example(site, command, token, SCOPE).rc == 0
    done = rig.run_example(site, command, token, SCOPE)
    assert done.rc == 1 and "RATE_LIMITED" in done.out + done.err, done
    assert "429" in done.out + done.err
    told = re.search(r"retry_?-?after(?:_ms)?\W+(\d+)", done.out + done.err,
                     re.I)
    assert told and int(told[1]) > 0, done
    no_secret(done, token)


def sees_a_revocation(site, command):
    token = site.create("soon dead")
    assert rig.run_example(site, command, token).rc == 0
    site.revoke(token)
    done = rig.run_example(site, command, token)
    assert done.rc == 1 and "REVOKED" in done.out + done.err, done


def refuses_without_a_sidecar(site, command):
    """Never there; asleep; killed: a line that says so, and soon."""
    def refused():
        start = time.monotonic()
        done = rig.run_example(site, command, token)
        assert done.rc == 3, done
        assert "VALID" not in done.out and "200" not in done.out
        assert "sidecar cannot be asked" in done.err, done
        assert "    at " not in done.err and "Traceback" not in done.err
        assert time.monotonic() - start < 10 * rig.PATIENCE
        no_secret(done, token)

    token = "jt_live_" + "0" * 56
    refused()
    daemon = site.start("--workers", "1")
    token = site.create()
    workers = daemon.worker_pids(("resp", "http"))
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    refused()
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    assert rig.run_example(site, command, token).rc == 0
    daemon.kill()
    refused()


@pytest.mark.parametrize("name", VERIFIERS)
class TestVerifier:
    def test_says_each_word(self, shared, tokens, name):
        says_each_word(shared, rig.example(name), tokens)

    def test_says_403_and_429_with_the_wait(self, shared, name):
        says_403_and_429(shared, rig.example(name))

    def test_sees_a_revocation_at_the_next_request(self, shared, name):
        sees_a_revocation(shared, rig.example(name))

    def test_refuses_without_a_sidecar(self, site, name):
        refuses_without_a_sidecar(site, rig.example(name))


def test_go_verifier_where_go_is_installed(shared, site, tokens, tmp_path):
    if not shutil.which("go"):
        return  # test_versions.py says so
    env = {**os.environ, "GO111MODULE": "off", "GOPROXY": "off", "GOFLAGS": "",
           "GOCACHE": str(tmp_path / "cache"), "GOPATH": str(tmp_path)}
    subprocess.run(["go", "build", "-o", tmp_path / "verify",
                    rig.EXAMPLES / "verify.go"], env=env, check=True)
    command = [str(tmp_path / "verify")]
    says_each_word(shared, command, tokens)
    says_403_and_429(shared, command)
    sees_a_revocation(shared, command)
    refuses_without_a_sidecar(site, command)


# ---- the README's ----

README_PYTHON = """
import os
{}
print(is_valid(os.environ["JETON_TOKEN"], "orders:read"))
"""
README_NODE = """{}
console.log(await status(`Bearer ${{process.env.JETON_TOKEN}}`))
"""


def readme_examples(site):
    """[cURL, Python, JavaScript], for this site's sockets."""
    text = rig.ROOT.joinpath("README.md").read_text()
    part = text.split("## Clients\n")[1].split("\n## ")[0]
    found = re.findall(r"(?:^    .*\n)+", part, re.M)
    assert len(found) == 3 and all(x.count("\n") <= 6 for x in found)
    return [re.sub(r"^    ", "", x, flags=re.M)
            .replace("/run/jeton/", f"{site.run}/") for x in found]


def test_readme_examples(site, tmp_path):
    curl, python, node = readme_examples(site)
    tmp_path.joinpath("a.sh").write_text('TOKEN=$JETON_TOKEN\n' + curl)
    tmp_path.joinpath("a.py").write_text(README_PYTHON.format(python))
    tmp_path.joinpath("a.mjs").write_text(README_NODE.format(node))
    commands = [["sh", tmp_path / "a.sh"], [sys.executable, tmp_path / "a.py"],
                [rig.node(), tmp_path / "a.mjs"]]

    def said(token):
        return [rig.run_example(site, c, token, by_env=True).out.split("\n")[0]
                .strip() for c in commands]
    site.start("--workers", "1")
    token = site.create("x", "--scope", SCOPE)
    assert said(token) == ["HTTP/1.1 200 OK", "True", "200"]
    assert said(token[:-1]) == ["HTTP/1.1 401 Unauthorized", "False", "401"]
    site.daemons[-1].stop()
    assert said(token) == ["", "False", "503"]


# ---- applications behind a middleware ----

FLASK = f"""
from flask import Flask, request
from wsgi import jeton
app = Flask(__name__)
app.wsgi_app = jeton(app.wsgi_app, "{SCOPE}")
@app.get("/orders")
def orders():
    return {{k: request.environ["jeton"][k] for k in ("id", "owner")}}
"""
WSGIREF = """
import wsgi
from wsgiref.simple_server import make_server
server = make_server("127.0.0.1", 0, wsgi.app)
print("listening on", server.server_port, flush=True)
server.serve_forever()
"""
# every answer of the API, for the tests of those who back off
RECORDER = """
import json, os, time, wsgi
def app(environ, start_response):
    arrived = time.monotonic()
    def start(line, headers, *error):
        with open(os.environ["RECORD"], "a") as f:
            f.write(json.dumps([environ["QUERY_STRING"], arrived,
                                time.monotonic(), int(line[:3]),
                                dict(headers).get("Retry-After")]) + "\\n")
        return start_response(line, headers, *error)
    return wsgi.app(environ, start)
"""
GUNICORN = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0",
            "--threads", "4"]
SERVERS = {
    "express": lambda: rig.example("express.mjs"),
    "fastify": lambda: rig.example("fastify.mjs"),
    "gunicorn": lambda: [*GUNICORN, "wsgi:app"],
    "wsgiref": lambda: [sys.executable, "-c", WSGIREF],
    "flask": lambda: [*GUNICORN, "orders_flask:app"],
    "recorder": lambda: [*GUNICORN, "recorder:app"],
    "uvicorn": lambda: [sys.executable, "-m", "uvicorn", "--port", "0",
                        "asgi:app"],
}


class Api:
    def __init__(self, port, log):
        self.port, self.log = port, log
        self.url = f"http://127.0.0.1:{port}/orders"
        self.kept = HTTPConnection("127.0.0.1", port, timeout=20)

    def get(self, *authorizations, **fields):
        """On a kept connection, if the server keeps any: (status, headers,
        JSON)."""
        self.kept.putrequest("GET", "/orders")
        for value in authorizations:
            self.kept.putheader("Authorization", value)
        for name, value in fields.items():
            self.kept.putheader(name.replace("_", "-"), value)
        self.kept.endheaders()
        reply = self.kept.getresponse()
        return reply.status, reply.headers, json.loads(reply.read())

    def as_(self, token):
        return self.get(f"Bearer {token}")


@contextmanager
def served_api(site, name):
    site.root.joinpath("orders_flask.py").write_text(FLASK)
    site.root.joinpath("recorder.py").write_text(RECORDER)
    log = site.root / f"{name}.log"
    env = {**site.env, "JETON_HTTP": str(site.http), "PORT": "0",
           "PYTHONPATH": f"{rig.EXAMPLES}:{site.root}",
           "PYTHONDONTWRITEBYTECODE": "1", "RECORD": str(site.root / "record")}
    with open(log, "wb") as f:
        p = subprocess.Popen(SERVERS[name](), stdout=f, stderr=f, env=env,
                             cwd=site.root)

    def port():
        assert p.poll() is None, log.read_text()
        return re.search(r"(?:listening on |127\.0\.0\.1:)(\d+)",
                         log.read_text())
    try:
        yield Api(int(rig.until(port, 30, f"{name} listens")[1]), log)
    finally:
        p.terminate()
        p.wait(20)


NAMES = ["express", "fastify", "gunicorn", "wsgiref", "flask", "uvicorn"]


@pytest.fixture(scope="module", params=NAMES)
def api(shared, request):
    with served_api(shared, request.param) as a:
        yield a


def test_api_knows_who_asks(shared, tokens, api):
    token = shared.create("limited", "--scope", SCOPE, "--owner", "shop",
                          "--rate", "5/min")
    status, headers, who = api.get(f"bearer  {token}", X_Jeton_Owner="root",
                                   jeton="root")
    assert status == 200 and who == {"id": token[:24], "owner": "shop"}
    assert headers["RateLimit-Policy"] == '"default";q=5;w=60'
    assert headers["RateLimit"].startswith('"default";r=4;t=')
    status, headers, who = api.as_(tokens["VALID"])
    assert status == 200 and who["owner"] == "web"
    assert "RateLimit" not in headers and "WWW-Authenticate" not in headers


@pytest.mark.parametrize("word", REFUSED)
def test_api_401_says_the_reason(api, tokens, word):
    status, headers, why = api.as_(tokens[word])
    assert (status, why["code"]) == (401, word) and why["detail"]
    challenge = 'Bearer realm="jeton"'
    assert headers["WWW-Authenticate"] == challenge + (
        "" if word == "MISSING" else ', error="invalid_token"')
    assert "Retry-After" not in headers and set(why) == {"code", "detail"}


def test_api_401_for_what_is_no_bearer(api, tokens):
    good = tokens["VALID"]
    for values in ([], [good], [f"Basic {good}"], [f"XBearer {good}"],
                   [f"Bearer{good}"], ["Bearer"]):
        status, headers, why = api.get(*values)
        assert (status, why["code"]) == (401, "MISSING"), values
        assert headers["WWW-Authenticate"] == 'Bearer realm="jeton"'
    for values in ([f"Bearer {good}"] * 2, [f"Bearer {good}", "Bearer x"],
                   ["Bearer x", f"Bearer {good}"], [f'Bearer "{good}"'],
                   [f"Bearer {good} {good}"], ["Bearer " + "é\\\"}{" * 9],
                   ["Bearer " + "x" * 4000]):
        status, _, why = api.get(*values)
        assert status == 401, (values, why)


def test_api_403_names_the_scope(shared, api):
    status, headers, why = api.as_(shared.create("none"))
    assert (status, why["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert headers["WWW-Authenticate"] == (
        f'Bearer realm="jeton", error="insufficient_scope", scope="{SCOPE}"')


def test_api_429_says_when(shared, api):
    token = shared.create("slow", "--scope", SCOPE, "--rate", "2/min")
    assert [api.as_(token)[0] for _ in range(2)] == [200, 200]
    status, headers, why = api.as_(token)
    assert (status, why["code"]) == (429, "RATE_LIMITED")
    assert 25 <= int(headers["Retry-After"]) <= 30
    assert headers["RateLimit-Policy"] == '"default";q=2;w=60'
    assert headers["RateLimit"].startswith('"default";r=0;t=')
    quota = shared.create("daily", "--scope", SCOPE, "--quota", "1/day")
    assert api.as_(quota)[0] == 200
    status, headers, why = api.as_(quota)
    assert (status, why["code"]) == (429, "QUOTA_EXCEEDED")
    assert 1 <= int(headers["Retry-After"]) <= 86400


def test_api_sees_a_revocation_at_the_next_request(shared, api):
    token = shared.create("soon dead", "--scope", SCOPE)
    for _ in range(3):
        assert api.as_(token)[0] == 200
    shared.revoke(token)
    status, _, why = api.as_(token)
    assert (status, why["code"]) == (401, "REVOKED")


@pytest.mark.parametrize("name", NAMES)
def test_api_refuses_while_there_is_no_sidecar_and_comes_back(site, name):
    def refused():
        status, headers, why = api.as_(token)
        assert (status, why["code"]) == (503, "UNREACHABLE")
        assert headers["Retry-After"] == "1"
        assert str(site.root) not in str(why)  # what is within is not told
        assert "the sidecar cannot be asked" in api.log.read_text()

    def comes_back():
        rig.until(lambda: api.as_(token)[0] == 200, 10, "200 again", 0.1)

    token = "jt_live_" + "0" * 56
    with served_api(site, name) as api:
        refused()
        daemon = site.start("--workers", "1")
        token = site.create("a token", "--scope", SCOPE)
        comes_back()
        [pid] = daemon.worker_pids(("http",))
        os.kill(pid, signal.SIGSTOP)
        refused()
        os.kill(pid, signal.SIGCONT)
        comes_back()
        daemon.kill()
        refused()
        site.start("--workers", "1")
        comes_back()
        assert token[SECRET] not in api.log.read_text()


WEBSOCKET = """
import asyncio, sys, asgi
async def main():
    seen = []
    async def app(scope, receive, send):
        seen.append(scope["jeton"]["id"])
    async def send(message):
        seen.append(message["type"])
    token = sys.stdin.readline().strip().encode()
    await asgi.jeton(app)({"type": "websocket", "headers":
        [(b"authorization", b"Bearer " + token)]}, None, send)
    print(*seen)
asyncio.run(main())
"""


def test_asgi_lets_no_websocket_in_without_a_token(shared, tokens):
    def said(token):
        return subprocess.run(
            [sys.executable, "-c", WEBSOCKET], input=token, text=True,
            stdout=subprocess.PIPE, check=True,
            env={**shared.env, "JETON_HTTP": str(shared.http),
                 "PYTHONPATH": str(rig.EXAMPLES)}).stdout.strip()
    assert said(tokens["VALID"]) == tokens["VALID"][:24]
    for word in REFUSED:
        assert said(tokens[word]) == "websocket.close"


# ---- clients that back off ----

BACKOFF = ["backoff.py", "backoff.mjs"]


def records(site):
    return [json.loads(x) for x in
            site.root.joinpath("record").read_text().splitlines()]


def never_early(rows):
    for (_, _, left, status, told), (_, arrived, *_) in zip(rows, rows[1:]):
        assert status in (429, 503) and int(told) >= 1
        assert arrived - left >= int(told), rows


def at_once(names, token, url):
    """Run them side by side, the i-th with the query `i`: [Done]."""
    clients = [subprocess.Popen(
        [*rig.example(name), f"{url}?{i}"], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for i, name in enumerate(names)]
    for c in clients:
        c.stdin.write(token + "\n")
        c.stdin.close()
        c.stdin = None
    said = [c.communicate(timeout=90) for c in clients]
    return [rig.Done(c.returncode, *x) for c, x in zip(clients, said)]


def test_backoff_gets_through_and_is_never_early(served):
    """Four that share one request each 2 s."""
    token = served.create("slow", "--scope", SCOPE, "--rate", "30/min",
                          "--burst", "1")
    with served_api(served, "recorder") as api:
        assert api.as_(token)[0] == 200
        start = time.monotonic()
        for done in at_once(BACKOFF * 2, token, api.url):
            assert done.rc == 0 and token[:24] in done.out, done
            assert "waiting" in done.err
            no_secret(done, token)
        assert time.monotonic() - start > 6
    for i in range(4):
        rows = [r for r in records(served) if r[0] == str(i)]
        assert rows[0][3] == 429 and rows[-1][3] == 200
        never_early(rows)


@pytest.mark.parametrize("name", BACKOFF)
def test_backoff_gives_up_at_once_when_told_to_wait_for_long(served, name):
    token = served.create("slow", "--scope", SCOPE, "--rate", "1/h")
    with served_api(served, "recorder") as api:
        assert api.as_(token)[0] == 200
        done = rig.run_example(served, rig.example(name), token, api.url)
    assert done.rc == 1 and done.out == "", done
    assert re.fullmatch(r"gave up: 429, Retry-After: 3(600|59\d)\n", done.err)
    assert [r[3] for r in records(served)] == [200, 429]


@pytest.mark.parametrize("name", BACKOFF)
def test_backoff_asks_only_once_after_401_and_403(served, name):
    with served_api(served, "recorder") as api:
        for token, status in (("x", 401), (served.create("none"), 403)):
            done = rig.run_example(served, rig.example(name), token, api.url)
            assert done.rc == 1 and f"gave up: {status}" in done.err, done
    assert [r[3] for r in records(served)] == [401, 403]


def test_backoff_is_bounded_while_there_is_no_sidecar(site):
    with served_api(site, "recorder") as api:
        for done in at_once(BACKOFF, "x" * 64, api.url):
            assert done.rc == 1, done
            assert "gave up: 503, Retry-After: 1\n" in done.err
    for i in range(2):
        rows = [r for r in records(site) if r[0] == str(i)]
        assert [r[3] for r in rows] == [503] * 6
        never_early(rows)


@pytest.mark.parametrize("name", BACKOFF)
def test_backoff_reads_dates_and_stays_with_its_host(site, name):
    """What other APIs than ours answer."""
    script = """
import sys, time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
n = 0
class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        global n
        n += 1
        asked = time.time()
        print(self.path, asked, flush=True)
        if self.path == "/elsewhere" or n > 1:
            self.send_response(200)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
        else:
            self.send_response(429)
            self.send_header("Retry-After", formatdate(asked + 3, usegmt=True)
                             if self.path == "/date" else "9" * 400)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", 0), Api)
print(server.server_port, flush=True)
server.serve_forever()
"""
    for path, rc, n in (("date", 0, 2), ("moved", 1, 1), ("ages", 1, 1)):
        p = subprocess.Popen([sys.executable, "-c", script], text=True,
                             stdout=subprocess.PIPE)
        port = p.stdout.readline().strip()
        done = rig.run_example(site, rig.example(name), "x",
                               f"http://127.0.0.1:{port}/{path}")
        p.terminate()
        seen = [x.split() for x in p.communicate()[0].splitlines()]
        assert done.rc == rc, (path, done)
        assert [x[0] for x in seen] == [f"/{path}"] * n
        if n == 2:  # dates have whole seconds
            assert float(seen[1][1]) >= int(float(seen[0][1])) + 3
