#!/bin/sh
# Concurrency: threads under ThreadSanitizer first, then real processes.
# stress.sh BUILD_DIR
set -eu
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
tsan=build/tsan/tests
seconds=${STRESS_SECONDS:-3}
run() { tests/result.sh "$bin/results" "$@"; }

make --no-print-directory FLAVOUR=tsan stress-programs
# ThreadSanitizer cannot place its shadow under full address randomisation.
for name in table meter memo settings growth; do
	setarch -R tests/result.sh "$bin/results" "$tsan/stress_$name" \
		--seconds "$seconds"
	run "$bin/tests/stress_$name" --processes --seconds "$seconds"
done
export JETON_BIN="$bin"
run "$bin/tests/stress_history"
run "$bin/tests/stress_history" --revokes 200 --kill-worker
run "$bin/tests/stress_history" --revokes 200 --kill-keeper
run "$bin/tests/stress_history" --inprocess
run "$bin/tests/stress_history" --inprocess --revokes 200 --kill-keeper
run "$bin/tests/stress_verbs" --sequences 1000
run "$bin/tests/stress_changes"
run "$bin/tests/stress_rate"
run "$bin/tests/stress_accept"
run "$bin/tests/stress_peers"
run "$bin/tests/stress_step"
run "$bin/tests/torture" --percent 3 --seconds 12
