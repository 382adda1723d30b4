#!/bin/sh
# Run a program and keep what it said and how it ended, for report.py.
# result.sh RESULTS COMMAND [ARGUMENT...]
out=$1/tests
shift
mkdir -p "$out" || exit 1
said="${1##*/}"
case $1 in
*/tsan/*) said="$said threads" ;;
esac
words=$(shift && echo "$*")
# a file's name has an end, a list of mutants may be longer
log=$out/$(echo "$said $words" | tr -cs 'A-Za-z0-9_\n' - | cut -c 1-200).log
{
	echo "\$ $said $words"
	"$@"
	echo "exit $?"
} 2>&1 | tee "$log"
[ "$(tail -n 1 "$log")" = "exit 0" ]
