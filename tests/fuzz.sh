#!/bin/sh
# Each fuzzer for a while: fuzz.sh BUILD_DIR SECONDS. It begins with what
# tests/corpus/ has for it, an input a line as printf's %b reads it, and with
# what earlier runs left in build/. What it finds is to become a unit test.
set -eu
cd "$(dirname "$0")/.."

# The seeds of FUZZER into DIR, a file each.
write_seeds() {
	n=0
	[ -f "tests/corpus/$1" ] || return 0
	while IFS= read -r seed; do
		case $seed in
		'#'*) continue ;;
		esac
		n=$((n + 1))
		printf '%b' "$seed" >"$2/$n"
	done <"tests/corpus/$1"
}

for f in "$1"/tests/fuzz_*; do
	[ -f "$f" ] && [ -x "$f" ] || continue
	rm -rf "$f.seeds"
	mkdir -p "$f.corpus" "$f.seeds"
	write_seeds "${f##*/}" "$f.seeds"
	tests/result.sh "$1/results" "$f" -max_total_time="$2" -max_len=200000 -print_final_stats=1 \
		-artifact_prefix="$f." "$f.corpus" "$f.seeds"
done
