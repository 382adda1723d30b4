#!/bin/sh
# Concurrency: threads under ThreadSanitizer first, then real processes.
# stress.sh BUILD_DIR
set -eu
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
tsan=build/tsan/tests
seconds=${STRESS_SECONDS:-3}

make --no-print-directory FLAVOUR=tsan stress-programs
# ThreadSanitizer cannot place its shadow under full address randomisation.
for name in table meter memo settings growth; do
	setarch -R "$tsan/stress_$name" --seconds "$seconds"
	"$bin/tests/stress_$name" --processes --seconds "$seconds"
done
export JETON_BIN="$bin"
"$bin/tests/stress_history"
"$bin/tests/stress_history" --revokes 200 --kill-worker
"$bin/tests/stress_history" --revokes 200 --kill-keeper
"$bin/tests/stress_history" --inprocess
"$bin/tests/stress_history" --inprocess --revokes 200 --kill-keeper
"$bin/tests/stress_verbs" --sequences 1000
"$bin/tests/stress_changes"
"$bin/tests/stress_rate"
"$bin/tests/stress_accept"
