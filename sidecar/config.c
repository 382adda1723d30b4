/* config: see config.h. */
#include "sidecar/config.h"

#include "shm/token.h"
#include "sidecar/doors.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct setting {
	const char *flag, *env, *help;
	uint64_t fallback, least, most;
	size_t offset;
};

static const struct setting settings[] = {
#define X(field, flag, env, def, least, most, help)                            \
	{flag, env, help, def, least, most, offsetof(struct jt_config, field)},
	JT_SETTINGS(X)
#undef X
};
#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

enum {
	FLAG_DATA = 1000,
	FLAG_RUN,
	FLAG_ENV,
	FLAG_HTTP_LISTEN,
	FLAG_HELP,
	FLAG_VERSION
};

static void help(void)
{
	printf("jetond " JT_VERSION ": verifies API tokens for the services on "
	       "this host\n\n"
	       "usage: jetond [--data DIR] [--run DIR] [settings]\n\n"
	       "  --data DIR         journal, anchor and locks\n"
	       "  --run DIR          sockets: %s, %s\n"
	       "  --env E            only tokens of this environment pass "
	       "(JETON_ENV)\n"
	       "  --http-listen A:P  HTTP on a loopback address, too "
	       "(JETON_HTTP_LISTEN)\n",
	       JT_RESP_NAME, JT_CONTROL_NAME);
	for (size_t i = 0; i < N_SETTINGS; i++)
		printf("  --%-12s N   %s (%llu; %s)\n", settings[i].flag,
		       settings[i].help,
		       (unsigned long long)settings[i].fallback,
		       settings[i].env);
	printf("  --help, --version\n");
}

static int set(struct jt_config *config, const struct setting *s,
	       const char *text, const char *where)
{
	uint64_t *field = (uint64_t *)(void *)((char *)config + s->offset);
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' ||
	    value < s->least || value > s->most) {
		fprintf(stderr, "jetond: %s takes a number from %llu to %llu\n",
			where, (unsigned long long)s->least,
			(unsigned long long)s->most);
		return JT_CONFIG_E_BAD;
	}
	*field = value;
	return 0;
}

static int from_environment(struct jt_config *config)
{
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const char *text = getenv(settings[i].env);
		uint64_t *field = (uint64_t *)(void *)((char *)config +
						       settings[i].offset);
		int rc;

		*field = settings[i].fallback;
		rc = text ? set(config, &settings[i], text, settings[i].env)
			  : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static void list_options(struct option options[N_SETTINGS + 7])
{
	static const struct option fixed[] = {
		{"data", required_argument, NULL, FLAG_DATA},
		{"run", required_argument, NULL, FLAG_RUN},
		{"env", required_argument, NULL, FLAG_ENV},
		{"http-listen", required_argument, NULL, FLAG_HTTP_LISTEN},
		{"help", no_argument, NULL, FLAG_HELP},
		{"version", no_argument, NULL, FLAG_VERSION},
		{0},
	};

	for (size_t i = 0; i < N_SETTINGS; i++)
		options[i] = (struct option){settings[i].flag,
					     required_argument, NULL, (int)i};
	memcpy(options + N_SETTINGS, fixed, sizeof(fixed));
}

/* What is no number: from its variable first, then from its flag. */
struct words {
	const char *data, *run, *env, *http_listen;
};

static int from_flags(struct jt_config *config, int argc, char **argv,
		      struct words *w)
{
	struct option options[N_SETTINGS + 7];
	char where[64];
	int flag, rc;

	list_options(options);
	opterr = 0;
	while ((flag = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (flag) {
		case FLAG_DATA:
			w->data = optarg;
			continue;
		case FLAG_RUN:
			w->run = optarg;
			continue;
		case FLAG_ENV:
			w->env = optarg;
			continue;
		case FLAG_HTTP_LISTEN:
			w->http_listen = optarg;
			continue;
		case FLAG_HELP:
			help();
			return JT_CONFIG_E_DONE;
		case FLAG_VERSION:
			printf("jetond " JT_VERSION "\n");
			return JT_CONFIG_E_DONE;
		case '?':
			/* never what was given: it may be a token */
			fprintf(stderr, "jetond: a flag is unknown or lacks "
					"its value; see jetond --help\n");
			return JT_CONFIG_E_USAGE;
		}
		snprintf(where, sizeof(where), "--%s", settings[flag].flag);
		rc = set(config, &settings[flag], optarg, where);
		if (rc)
			return JT_CONFIG_E_USAGE;
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "jetond: takes no arguments, only flags; see "
			"jetond --help\n");
	return JT_CONFIG_E_USAGE;
}

static int set_env(struct jt_config *config, const char *env)
{
	if (!jt_env_ok(env, strlen(env))) {
		fprintf(stderr, "jetond: --env takes 1 to 6 of a-z and 0-9\n");
		return JT_CONFIG_E_USAGE;
	}
	strcpy(config->env, env);
	return 0;
}

static int set_http_listen(struct jt_config *config, const char *text)
{
	if (text[0] && (strlen(text) >= sizeof(config->http_listen) ||
			!jt_doors_loopback_ok(text))) {
		fprintf(stderr,
			"jetond: --http-listen takes a loopback address and a "
			"port, as 127.0.0.1:9180 or [::1]:9180\n");
		return JT_CONFIG_E_USAGE;
	}
	strcpy(config->http_listen, text);
	return 0;
}

static void choose_workers(struct jt_config *config)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!config->workers)
		config->workers = cores > 2 ? (uint64_t)cores - 1 : 1;
	if (config->workers > JT_RESP_WORKERS_MAX)
		config->workers = JT_RESP_WORKERS_MAX;
}

int jt_config_read(struct jt_config *config, int argc, char **argv)
{
	struct words w = {.env = getenv("JETON_ENV"),
			  .http_listen = getenv("JETON_HTTP_LISTEN")};
	struct jt_fault fault = {0};
	int rc;

	memset(config, 0, sizeof(*config));
	rc = from_environment(config);
	if (!rc)
		rc = from_flags(config, argc, argv, &w);
	if (!rc && w.env)
		rc = set_env(config, w.env);
	if (!rc && w.http_listen)
		rc = set_http_listen(config, w.http_listen);
	if (rc)
		return rc;
	choose_workers(config);
	rc = jt_paths_resolve(&config->paths, w.data, w.run, &fault);
	if (!rc)
		return 0;
	fprintf(stderr, "jetond: %s\n",
		fault.line[0] ? fault.line : strerror(rc < 0 ? -rc : EINVAL));
	return JT_CONFIG_E_BAD;
}
