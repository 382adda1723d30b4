/* scratch: see scratch.h. */
#include "bench/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int say(const char *what, int rc)
{
	fprintf(stderr, "jeton-bench: %s: %s\n", what, strerror(-rc));
	return rc;
}

int jt_scratch_make(const char *tmp, char dir[64])
{
	if (snprintf(dir, 64, "%s/jeton-bench.XXXXXX", tmp) >= 64)
		return say(tmp, -ENAMETOOLONG);
	return mkdtemp(dir) ? 0 : say(tmp, -errno);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

void jt_scratch_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int jt_scratch_bin_dir(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		return say("/proc/self/exe", -errno);
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash)
		*slash = '\0';
	return 0;
}
