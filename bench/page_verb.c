/* page_verb: the verb `page`: findings of other verbs as one report. */
#include "bench/options.h"

#include "bench/page.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: jeton-bench page FILE.json... [FLAGS]\n"
	"Join what other verbs wrote with --json: say which goals are "
	"reached, and\n"
	"write one HTML page that loads nothing from elsewhere. Of a goal that "
	"is in\n"
	"several files the last one counts.\n\n"
	"  --html OUT     write the page\n"
	"  --commit TEXT  what was measured, for the page\n"
	"\nExit: 0 done, 1 failed, 2 usage.\n";

static const struct option options[] = {
	{"html", required_argument, NULL, 'o'},
	{"commit", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int read_all(json_t *all, char **paths)
{
	json_error_t error;
	json_t *one;

	for (; *paths; paths++) {
		one = json_load_file(*paths, JSON_REJECT_DUPLICATES, &error);
		if (!one || !json_is_array(json_object_get(one, "goals"))) {
			fprintf(stderr,
				"jeton-bench: %s: %s; give a file that was "
				"written with --json\n",
				*paths, one ? "no findings in it" : error.text);
			json_decref(one);
			return -EINVAL;
		}
		json_array_append_new(all, one);
	}
	return 0;
}

static int write_page(const json_t *all, const char *path, const char *commit)
{
	FILE *f = fopen(path, "we");
	int r;

	if (f)
		jt_page_write(f, all, commit);
	r = f && !ferror(f) ? 0 : -1;
	if (f && fclose(f))
		r = -1;
	if (r)
		fprintf(stderr, "jeton-bench: %s: %s\n", path, strerror(errno));
	return r;
}

int jt_verb_page(int argc, char **argv)
{
	const char *html = NULL, *commit = "";
	json_t *all;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'h') {
			fputs(usage, stdout);
			return JT_EXIT_OK;
		}
		if (c == 'o')
			html = optarg;
		else if (c == 'c')
			commit = optarg;
		else
			return JT_EXIT_USAGE;
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return JT_EXIT_USAGE;
	}
	all = json_array();
	r = read_all(all, argv + optind);
	if (!r)
		jt_page_print_goals(stdout, all);
	if (!r && html)
		r = write_page(all, html, commit);
	json_decref(all);
	return r ? JT_EXIT_FAILED : JT_EXIT_OK;
}
