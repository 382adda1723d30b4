#!/bin/sh
# Real binaries, real clients: e2e.sh BUILD_DIR [pytest arguments]
# Without arguments all tests, files side by side: most of their time is spent
# waiting. Each test has sites of its own.
set -eu
JETON_BIN=$(cd "$1" && pwd)
export JETON_BIN
shift
cd "$(dirname "$0")/.."
# Daemons are not dumpable, so the leak checker cannot attach to them; leaks
# are looked for in the unit tests.
export PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
[ $# -gt 0 ] || set -- -n "${E2E_PROCESSES:-4}" --dist loadfile \
	--junitxml="$JETON_BIN/results/tests/e2e.xml"
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/e2e "$@"
