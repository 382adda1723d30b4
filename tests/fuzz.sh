#!/bin/sh
# Each fuzzer for a while: fuzz.sh BUILD_DIR SECONDS. What it finds lies in
# build/ afterwards and is to become a unit test.
set -eu
for f in "$1"/tests/fuzz_*; do
	[ -f "$f" ] && [ -x "$f" ] || continue
	mkdir -p "$f.corpus"
	"$f" -max_total_time="$2" -max_len=200000 -print_final_stats=1 \
		-artifact_prefix="$f." "$f.corpus"
done
