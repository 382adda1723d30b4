#!/bin/sh
# Rooms include only to the left: shm < admin < sidecar < bench < tests.
cd "$(dirname "$0")/.." || exit 1
bad=0
check() { # room, rooms to its right
	if grep -nE "#include \"($2)/" "$1"/*.[ch]; then
		echo "layers: $1 includes a room to its right" >&2
		bad=1
	fi
}
check shm 'admin|sidecar|bench|tests'
check admin 'sidecar|bench|tests'
check sidecar 'bench|tests'
check bench 'tests'
# shm knows no clock, no socket, no journal and no allocation, but for the
# library's edge towards its caller.
if ls shm/*.[ch] | grep -vE '^shm/(attach|detour|jeton)\.c$' | xargs grep -nE \
	'\b(clock_gettime|gettimeofday|time|malloc|calloc|socket)\('; then
	echo "layers: shm takes time and memory as parameters" >&2
	bad=1
fi
[ $bad = 0 ] && echo "layers: clean"
exit $bad
