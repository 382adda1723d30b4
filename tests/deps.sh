#!/bin/sh
# Install what is missing: `deps.sh build` or `deps.sh test`. Debian packages;
# no service is started; npm packages go to build/interop.
set -eu
cd "$(dirname "$0")/.."

build="gcc make pkg-config liburing-dev libxxhash-dev libsodium-dev
	libjansson-dev libhiredis-dev libcsv-dev libmicrohttpd-dev
	libinih-dev libseccomp-dev libcriterion-dev"
demo="redis-tools"
tests="redis-server clang clang-format cppcheck libclang-rt-14-dev strace libfaketime
	python3 python3-pytest python3-pytest-xdist python3-redis python3-flask
	gunicorn uvicorn nodejs npm procps util-linux mandoc zsh fish curl
	prometheus systemd nginx-light caddy haproxy memcached chromium"

# A package counts as there when its dpkg status says so, or when the command
# of the same name came from elsewhere (a newer Node, say).
missing() {
	for p in "$@"; do
		case $p in
		nodejs) command -v node >/dev/null && continue ;;
		npm | clang | clang-format | gcc | make)
			command -v "$p" >/dev/null && continue ;;
		esac
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || printf '%s ' "$p"
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# policy-rc.d with status 101 keeps apt from starting what it installs.
install() {
	policy=/usr/sbin/policy-rc.d
	made=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod 755 $policy
		made=1
	fi
	echo "installing: $*"
	as_root env DEBIAN_FRONTEND=noninteractive sh -c '
		apt-get -qq update &&
		apt-get -qq -y --no-install-recommends install "$@"' sh "$@" \
		>build/apt.log 2>&1 || { tail -20 build/apt.log; exit 1; }
	[ -z "$made" ] || as_root rm -f $policy
}

mkdir -p build
want="$build $demo"
[ "$1" = build ] || want="$want $tests"
# shellcheck disable=SC2086 # a list of words
need=$(missing $want)
# shellcheck disable=SC2086
[ -z "$need" ] || install $need
[ "$1" = build ] && exit 0

# The npm clients, and a Node of at least 20 where Debian's is older.
mkdir -p build/interop
cp tests/interop/package.json tests/interop/package-lock.json \
	tests/interop/.npmrc build/interop/
if ! cmp -s tests/interop/package-lock.json build/interop/installed; then
	(
		cd build/interop
		npm ci --no-audit --no-fund --loglevel=error
		major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
		[ "$major" -ge 20 ] || npm install --no-save --no-audit \
			--no-fund --loglevel=error node@22
	)
	cp tests/interop/package-lock.json build/interop/installed
fi
