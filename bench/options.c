/* options: see options.h. */
#include "bench/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool jt_options_number(const char *name, const char *text, uint64_t low,
		       uint64_t high, uint64_t *outp)
{
	char *end;

	errno = 0;
	*outp = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && *outp >= low &&
	    *outp <= high)
		return true;
	fprintf(stderr,
		"jeton-bench: --%s is a number from %" PRIu64 " to %" PRIu64
		", not '%s'\n",
		name, low, high, text);
	return false;
}

bool jt_options_list(const char *name, const char *text, unsigned max,
		     uint64_t high, unsigned *out, unsigned *np)
{
	char copy[128], *rest = copy, *one;
	uint64_t value;

	snprintf(copy, sizeof(copy), "%s", text);
	for (*np = 0; (one = strsep(&rest, ","));
	     out[(*np)++] = (unsigned)value)
		if (*np == max ||
		    !jt_options_number(name, one, 1, high, &value))
			return false;
	return true;
}

int jt_options_read(int argc, char **argv, const struct option *options,
		    const char *usage, bool (*take)(void *flags, int c),
		    void *flags)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'h') {
			fputs(usage, stdout);
			return JT_EXIT_OK;
		}
		if (!take(flags, c))
			return JT_EXIT_USAGE;
	}
	if (optind == argc)
		return -1;
	fputs(usage, stderr);
	return JT_EXIT_USAGE;
}
