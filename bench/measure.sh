#!/bin/sh
# measure.sh BUILD_DIR quick|full: every verb, one after the other, then the
# page of what they found. A verb that fails stops none behind it; the last line
# names those that failed, and the exit status is 1. What an earlier run left in
# BUILD_DIR/results goes first, so that no page mixes two runs.
#
# quick: under 5 minutes, what each goal stands on that can be had in that time.
# Slices are of a second or more: steal is told in steps of 10 ms, and one step
# must not be more than 1 % of a slice.
set -u
bench=$1/jeton-bench
results=$1/results
failed=
trap 'exit 130' INT TERM

measure() {
	verb=$1
	shift
	start_s=$(date +%s)
	echo "== jeton-bench $verb"
	"$bench" "$verb" "$@" --json "$results/$verb.json" ||
		failed="$failed $verb"
	echo "== $verb took $(($(date +%s) - start_s)) s"
}

quick() {
	measure run --goals-only --rounds 4 --open-rounds 4 --slice-ms 1000 \
		--subjects floor,echo,get,eval,packed,jeton --retake-s 16 \
		--percentiles "$results"
	measure inprocess --rounds 3 --slice-ms 1000 --retake-s 4
	measure table --sizes 1000,1000000,10000000 --rounds 3 \
		--slice-ms 1000 --retake-s 8
	measure restart --tokens 300000 --rounds 3 --retake-s 3
	measure revoke --rounds 50
	measure mutate --tokens 200000 --rounds 4 --slice-ms 1200 --retake-s 6
}

full() {
	measure run --rounds 20 --open-rounds 20 --slice-ms 3000 \
		--warm-ms 200 --retake-s 600 --percentiles "$results"
	measure inprocess --rounds 20 --slice-ms 3000 --retake-s 60
	measure table --sizes 1000,10000,100000,1000000,10000000 \
		--rounds 20 --slice-ms 1000 --retake-s 200
	measure restart --tokens 10000000 --retake-s 120
	measure revoke
	measure mutate --rounds 20 --slice-ms 3000 --retake-s 60
}

case ${2-} in
quick | full) ;;
*)
	echo "usage: measure.sh BUILD_DIR quick|full" >&2
	exit 2
	;;
esac
mkdir -p "$results" || exit 1
rm -f "$results"/*.json "$results"/*.hgrm "$results"/bench.html
"$2"
set -- "$results"/*.json
if [ -e "$1" ]; then
	"$bench" page "$@" --html "$results/bench.html" \
		--commit "$(git describe --always --dirty 2>/dev/null)" ||
		failed="$failed page"
fi
[ -z "$failed" ] || {
	echo "bench: FAILED:$failed; what the others found stands above and" \
		"in $results" >&2
	exit 1
}
