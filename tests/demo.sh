#!/bin/sh
# The main job of jeton, shown on temporary directories: demo.sh BUILD_DIR
set -eu
bin=$(cd "$1" && pwd)
PATH=$bin:$PATH
dir=$(mktemp -d /tmp/jeton-demo.XXXXXX)
export JETON_DATA="$dir/data" JETON_RUN="$dir/run"
sock=$JETON_RUN/jeton.sock
daemon=

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
	printf '  $ %s\n' "$*"
	"$@" 2>&1 | sed 's/^/    /'
}
start() {
	jetond 2>>"$dir/log" &
	daemon=$!
	for _ in $(seq 100); do
		redis-cli -s "$sock" info 2>/dev/null | grep -q '^loading:0' &&
			return
		sleep 0.05
	done
	cat "$dir/log"
	exit 1
}
stop() {
	kill "$daemon"
	wait "$daemon" || true
	daemon=
}
cleanup() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# One verification through redis-cli: the token goes over standard input, never
# into the argument list. Prints word, remaining and retry-after.
verify() {
	printf %s "$1" | redis-cli -s "$sock" -x VERIFY |
		awk 'NR==1 {w=$0} NR==6 {r=$0} NR==8 {t=$0}
			END {print w " (remaining " r ", retry after " t " ms)"}'
}
expect() { # word, token
	got=$(verify "$2")
	printf '    %s\n' "$got"
	case $got in
	"$1 "*) ;;
	*) echo "demo: expected $1" >&2; exit 1 ;;
	esac
}

say "1. Start the sidecar: it keeps its journal and its sockets in $dir."
start
sed 's/^/    /' "$dir/log"

say "2. Create three tokens. The value appears once, alone, on standard output."
production=$(jeton create "Production API" --expires 90d 2>"$dir/note")
sed 's/^/    /' "$dir/note"
analytics=$(jeton create "Analytics Service" --expires 1y 2>/dev/null)
limited=$(jeton create "Limited" --rate 5/s --burst 5 2>/dev/null)
echo "    and two more: \"Analytics Service\", and \"Limited\" to 5 requests a second"
run jeton list

say "3. Verify them: through any Redis client, and through the admin tool."
expect VALID "$production"
expect VALID "$analytics"
printf '  $ jeton verify < token\n'
printf %s "$production" | jeton verify | sed 's/^/    /'

say "4. The limited one is good for five at once; then it must wait."
for _ in 1 2 3 4 5 6; do echo "VERIFY $limited"; done |
	redis-cli -s "$sock" |
	awk '{a[++n] = $0} n == 11 {
		print "    " a[1] " (remaining " a[6] ", retry after " a[8] " ms)"
		n = 0
	}' >"$dir/six"
cat "$dir/six"
grep -q 'RATE_LIMITED (remaining 0, retry after [1-9]' "$dir/six"

say "5. Revoke one. When the command returns, the very next request is refused."
id=$(printf %.24s "$production")
run jeton revoke "$id"
expect REVOKED "$production"
expect VALID "$analytics"

say "6. Restart the sidecar: the table is rebuilt from the journal."
stop
start
expect REVOKED "$production"
expect VALID "$analytics"
run jeton list
run jeton journal check

say "That is the main job: create, verify, limit, revoke, survive. Cleaned up."
