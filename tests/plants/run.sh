#!/bin/sh
# Planted bugs: each must be caught by the command that its patch names.
# run.sh [NAME...]: those only; NAME.patch and its path will do, too. A patch
# begins with two lines, `Kills: COMMAND` and `Why: ...`; the command must pass
# without the patch, so that what kills is the plant. One that does not apply
# any more, or that survives, is a failure. All happens in a copy of the tree.
set -u
cd "$(dirname "$0")/../.." || exit 1
copy=$(mktemp -d /tmp/jp.XXXXXX)
began=$(date +%s)
patience_s=${PLANTS_PATIENCE:-120}
trap 'end_all; rm -rf "$copy"' EXIT
trap 'exit 1' INT TERM

git ls-files -co --exclude-standard -z | tar -c --null -T - |
	tar -x -C "$copy" || exit 1
cd "$copy" || exit 1
# or git would look for a repository above
GIT_CEILING_DIRECTORIES=$(dirname "$copy")
export GIT_CEILING_DIRECTORIES
if [ $# -gt 0 ]; then
	patches=$(for p; do
		p=${p##*/}
		echo "tests/plants/${p%.patch}.patch"
	done)
else
	patches=$(ls tests/plants/*.patch)
fi

command_of() { sed -n '1s/^Kills: //p' "$1"; }
# What the command runs, and with JETON_BIN the daemon and the tool, too.
build() {
	case $1 in
	*JETON_BIN=*) more=all ;;
	*) more= ;;
	esac
	case $1 in
	*build/tsan/*) flavour=tsan ;;
	*) flavour=release ;;
	esac
	# shellcheck disable=SC2046,SC2086 # lists of targets
	make --no-print-directory -j2 FLAVOUR=$flavour $more \
		$(echo "$1" | grep -oE 'build/[a-z]+/tests/[a-z_]+') >log 2>&1
}
run() {
	TMPDIR=$copy timeout -k 5 "$patience_s" sh -c "$1" >log 2>&1
	rc=$?
	end_all
	return $rc
}
# What a plant made spin or orphaned would slow all that come after it.
end_all() {
	for one in /proc/[0-9]*; do
		case $(readlink "$one/exe" 2>/dev/null) in
		"$copy"/*) kill -9 "${one#/proc/}" 2>/dev/null ;;
		esac
	done
	return 0
}

failures=0
complain() {
	echo "mutants: $1"
	tail -5 log | sed 's/^/    /'
	failures=$((failures + 1))
}

# Without a plant everything passes.
for p in $patches; do command_of "$p"; done | sort -u >commands
: >unsound
while IFS= read -r c <&3; do
	build "$c" || complain "does not build: $c"
	if run "$c"; then
		grep -qF 'Tested: 0 ' log || continue
		complain "runs no test: $c"
	else
		complain "fails without a plant: $c"
	fi
	echo "$c" >>unsound
done 3<commands

planted=0
killed=0
for p in $patches; do
	name=$(basename "$p" .patch)
	c=$(command_of "$p")
	planted=$((planted + 1))
	if ! git apply -p1 "$p" >log 2>&1; then
		complain "$name does not apply any more"
		continue
	fi
	if [ -z "$c" ] || ! build "$c"; then
		complain "$name does not build, or names no command"
	elif grep -qxF -e "$c" unsound; then
		complain "$name: its command proves nothing"
	elif run "$c"; then
		complain "$name SURVIVES: $c"
	else
		killed=$((killed + 1))
		echo "mutants: $name killed"
	fi
	git apply -R -p1 "$p"
done
echo "$planted planted, $killed killed, $(($(date +%s) - began)) seconds"
[ "$failures" -eq 0 ]
