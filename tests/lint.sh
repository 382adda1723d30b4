#!/bin/sh
# Formatting by .clang-format, and what cppcheck sees.
cd "$(dirname "$0")/.." || exit 1
files=$(ls shm/*.[ch] admin/*.[ch] sidecar/*.[ch] bench/*.[ch] tests/*.[ch])
# shellcheck disable=SC2086 # a list of files
clang-format --dry-run -Werror $files || exit 1
cppcheck --quiet --error-exitcode=1 --std=c11 -I. -D_GNU_SOURCE \
	-DJT_VERSION='"0"' --enable=warning,portability --inline-suppr \
	--suppress=missingIncludeSystem \
	--suppress=comparePointers:bench/redis.c \
	--suppress=preprocessorErrorDirective:sidecar/command_table.c \
	--suppress=preprocessorErrorDirective:shm/atomic.h \
	--suppress=incorrectStringBooleanError:sidecar/command_docs.c \
	shm admin sidecar bench || exit 1
if grep -nwE 'TODO|FIXME|XXX|HACK' $files; then
	echo "lint: unfinished marks" >&2
	exit 1
fi
echo "lint: clean"
