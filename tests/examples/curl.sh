#!/bin/sh
# Verify a token with cURL. The value goes in by standard input (or stands in
# JETON_TOKEN), so that no list of processes shows it.
#
#     sh curl.sh <token                  asks /auth/default, as a proxy would
#     sh curl.sh orders:read <token      asks /v1/verify for that scope
#
# Exit status: 0 VALID, 1 refused, 3 nobody could be asked.
set -eu
door=${JETON_HTTP:-/run/jeton/jeton-http.sock}
token=${JETON_TOKEN-$(cat)}

ask() {
	curl -sS -i --max-time 2 --unix-socket "$door" "$@" || {
		echo "refused: the sidecar cannot be asked at $door" >&2
		exit 3
	}
}

if [ $# = 0 ]; then
	said=$(printf 'Authorization: Bearer %s\n' "$token" |
		ask -H @- http://localhost/auth/default)
else
	case $token$1 in # what would need quoting in JSON is in neither
	*[!0-9A-Za-z_:.*-]*) echo "refused: MALFORMED" >&2 && exit 1 ;;
	esac
	said=$(printf '{"token": "%s", "scopes": ["%s"]}' "$token" "$1" |
		ask -H 'Content-Type: application/json' --data-binary @- \
			http://localhost/v1/verify)
fi
printf '%s\n' "$said"
case $said in "HTTP/1.1 200 "*) ;; *) exit 1 ;; esac
