/*
 * memory: see memory.h.
 *
 * A cgroup counts what its files in the page cache take as well, which it gives
 * back when it must: so that is no reason to refuse, and not counted here.
 */
#include "sidecar/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT "/sys/fs/cgroup"
#define ORDERS 16u
#define LARGE_ORDER 9u /* 2^9 pages of 4 KB */

static uint64_t machine_left(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kb = UINT64_MAX >> 10;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb << 10;
}

/* A number behind KEY in that file, or the first word of it; false: none. */
static bool read_number(const char *dir, const char *name, const char *key,
			uint64_t *valuep)
{
	char path[PATH_MAX], line[128];
	unsigned long long value;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strncmp(line, key, strlen(key)) == 0 &&
			sscanf(line + strlen(key), "%llu", &value) == 1;
	if (f)
		fclose(f);
	if (found)
		*valuep = value;
	return found;
}

static uint64_t group_left(const char *dir)
{
	uint64_t max, current, files = 0;

	if (!read_number(dir, "memory.max", "", &max) ||
	    !read_number(dir, "memory.current", "", &current))
		return UINT64_MAX; /* "max", or no such cgroup */
	read_number(dir, "memory.stat", "inactive_file ", &files);
	current -= files < current ? files : current;
	return current < max ? max - current : 0;
}

/* The directory of our cgroup; false: there is none that we see. */
static bool own_group(char dir[PATH_MAX])
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, "0::/", 4) == 0;
	}
	if (f)
		fclose(f);
	return found && snprintf(dir, PATH_MAX, ROOT "%s", line + 3) < PATH_MAX;
}

uint64_t jt_memory_left(void)
{
	uint64_t least = machine_left();
	char dir[PATH_MAX];

	if (!own_group(dir))
		return least;
	while (strlen(dir) >= strlen(ROOT)) {
		uint64_t left = group_left(dir);

		least = left < least ? left : least;
		*strrchr(dir, '/') = '\0';
	}
	return least;
}

/* "Node 0, zone   Normal  n n n ...": pieces of 2^0, 2^1 ... pages. */
static uint64_t large_of(const char *line)
{
	const char *at = strstr(line, "zone");
	uint64_t bytes = 0;
	char *end;

	at = at ? at + strlen("zone") : line + strlen(line);
	at += strspn(at, " ");
	at += strcspn(at, " ");
	for (unsigned order = 0; order < ORDERS; order++) {
		uint64_t n = strtoull(at, &end, 10);

		if (end == at)
			break;
		if (order >= LARGE_ORDER)
			bytes += n << (order + 12);
		at = end;
	}
	return bytes;
}

uint64_t jt_memory_large_left(void)
{
	FILE *f = fopen("/proc/buddyinfo", "re");
	uint64_t bytes = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		bytes += large_of(line);
	if (f)
		fclose(f);
	return bytes;
}
