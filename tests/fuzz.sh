#!/bin/sh
# fuzz.sh BUILD_DIR SECONDS [NAME...]: each fuzzer, or those named (`slot` is
# fuzz_slot), for so long. It begins with what tests/corpus/ has for it and with
# what earlier runs left in build/. A finding fails, and is printed as the line
# of tests/corpus/ that it is to become.
# fuzz.sh --corpus PROGRAM...: what tests/corpus/ has, once; PROGRAM is any
# flavour's, with a main of its own (drive.c). A BUILD_DIR: all of its programs.
#
# tests/corpus/NAME: an input a line, as printf's %b reads it.
set -eu
cd "$(dirname "$0")/.."

# A fuzzed start, request or file takes milliseconds and some megabytes.
patience_s=10
memory_mb=1024

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

as_line() { od -An -v -to1 "$1" | tr -d '\n' | sed 's/ /\\0/g'; }

corpus() {
	seeds=$(mktemp -d "${TMPDIR:-/tmp}/corpus.XXXXXX")
	trap 'rm -rf "$seeds"' EXIT
	[ -d "$1" ] && set -- "$1"/tests/fuzz_*
	for f; do
		[ -x "$f" ] || continue # what else make has left there
		mkdir "$seeds/${f##*/}"
		write_seeds "${f##*/}" "$seeds/${f##*/}"
		[ -f "$seeds/${f##*/}/1" ] || continue
		"$f" "$seeds/${f##*/}"/*
	done
}

figure() { sed -n "s/^stat::$1: *//p" "$2"; }

fuzz() {
	rm -rf "$1.seeds"
	mkdir -p "$1.corpus" "$1.seeds"
	write_seeds "${1##*/}" "$1.seeds"
	if ! tests/result.sh "$results" "$1" -max_total_time="$2" \
		-max_len=200000 -print_final_stats=1 \
		-timeout=$patience_s -rss_limit_mb=$memory_mb \
		-artifact_prefix="$1." "$1.corpus" "$1.seeds" >"$1.log" 2>&1
	then
		tail -40 "$1.log"
		found=$(sed -n 's/^.*Test unit written to //p' "$1.log" | tail -1)
		[ -f "$found" ] && as_line "$found" && echo
		echo "${1##*/}: FOUND something; all of it: $1.log"
		return 1
	fi
	printf '%-16s %9s executions, %5s new in the corpus, %4s MB, %s s\n' \
		"${1##*/}" "$(figure number_of_executed_units "$1.log")" \
		"$(figure new_units_added "$1.log")" \
		"$(figure peak_rss_mb "$1.log")" "$2"
}

if [ "$1" = --corpus ]; then
	shift
	corpus "$@"
	exit
fi
build=$1
seconds=$2
results=${RESULTS:-$build/results} # for report.py
shift 2
findings=0
for f in "$build"/tests/fuzz_*; do
	[ -f "$f" ] && [ -x "$f" ] || continue
	name=${f##*/fuzz_}
	case " ${*:-$name} " in
	*" $name "*) fuzz "$f" "$seconds" || findings=$((findings + 1)) ;;
	esac
done
[ $findings -eq 0 ]
