"""What the other tests run, and which version it is: told at the end of a run.
Whatever is missing fails, but for Go."""
import json
import re
import shutil
import subprocess
import sys

import proxies
import rig

PROGRAMS = [("curl", "--version"), ("redis-cli", "--version"),
            ("redis-benchmark", "--version"), ("prometheus", "--version"),
            ("promtool", "--version"), ("systemd-analyze", "--version"),
            ("mandoc",), (sys.executable, "--version")]
PYTHON = ["redis", "flask", "gunicorn", "uvicorn"]
NODE = ["express", "fastify", "ioredis", "redis"]


def said(*argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    return done.stdout.split("\n")[0]


def test_clients_and_servers_say_their_versions(record_property):
    lines = []
    for argv in PROGRAMS:
        assert shutil.which(argv[0]), f"no {argv[0]}: run `make deps-test`"
        if len(argv) > 1:
            lines.append(re.sub(r" \(.*|, branch.*", "", said(*argv)))
    lines.append("Node " + said(rig.node(), "--version"))
    for package in NODE:
        manifest = rig.INTEROP / "node_modules" / package / "package.json"
        assert manifest.exists(), f"no {package}: run `make deps-test`"
        version = json.loads(manifest.read_text())["version"]
        lines.append(f"{package} {version} (npm)")
    for package in PYTHON:
        version = said(sys.executable, "-c",
                       f"import {package}; print({package}.__version__)")
        assert version[:1].isdigit(), f"no {package}: run `make deps-test`"
        lines.append(f"{package} {version} (Python)")
    for name in proxies.PROXIES:
        version = proxies.version(name)
        assert version[:1].isdigit(), f"{name}: {version}"
        lines.append(f"{name} {version}")
    lines.append(said("go", "version") if shutil.which("go")
                 else "Go is not installed: verify.go is not run")
    for line in lines:
        record_property("said", line)
