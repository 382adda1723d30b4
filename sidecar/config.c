/*
 * config: see config.h.
 *
 * Flags are read first, since one of them names the file; then the environment,
 * then the file. Whatever is given is checked, also what does not hold because
 * something before it said otherwise.
 */
#include "sidecar/config.h"

#include "admin/label.h"
#include "shm/token.h"
#include "sidecar/doors.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct setting {
	const char *name, *env, *help;
	uint64_t fallback, least, most; /* of a number */
	size_t offset;
};

/* By enum jt_setting. */
static const struct setting settings[JT_SETTINGS_N] = {
#define X(field, flag, env, def, least, most, help)                            \
	{flag, env, help, def, least, most, offsetof(struct jt_config, field)},
	JT_SETTINGS(X)
#undef X
		{"data", "JETON_DATA", "an absolute path", 0, 0, 0, 0},
	{"run", "JETON_RUN", "an absolute path", 0, 0, 0, 0},
	{"env", "JETON_ENV", "1 to 6 of a-z and 0-9", 0, 0, 0, 0},
	{"http-listen", "JETON_HTTP_LISTEN",
	 "a loopback address and a port, as 127.0.0.1:9180 or [::1]:9180", 0, 0,
	 0, 0},
	{"log-format", "JETON_LOG_FORMAT", "plain or json", 0, 0, 0, 0},
	{"user", "JETON_USER",
	 "a user's name, 1 to 31 of letters, digits, `_`, `-` and `.`", 0, 0, 0,
	 0},
	{"backend", "JETON_BACKEND", "auto, uring or epoll", 0, 0, 0, 0},
};
#define N_NUMBERS ((unsigned)JT_SETTING_data)
#define LISTEN_MAX sizeof(((struct jt_config *)0)->http_listen)
#define USER_MAX sizeof(((struct jt_config *)0)->user)

enum {
	FLAG_CONFIG = 1000,
	FLAG_CHECK,
	FLAG_PRINT,
	FLAG_HELP,
	FLAG_VERSION
};

/* While settings are gathered. */
struct reading {
	struct jt_config *config;
	const char *file; /* --config or JETON_CONFIG; NULL */
	/* data and run, as they were written; one byte too long is kept so */
	char paths[2][PATH_MAX + 1];
	char *why;
};

static void help(void)
{
	printf("jetond " JT_VERSION ": verifies API tokens for the services on "
	       "this host\n\n"
	       "usage: jetond [--config FILE] [--data DIR] [--run DIR] "
	       "[settings]\n"
	       "       jetond --check-config | --print-config [settings]\n\n"
	       "  --config FILE      settings, policies and peers "
	       "(JETON_CONFIG)\n"
	       "  --data DIR         journal, anchor and locks\n"
	       "  --run DIR          sockets: %s, %s\n"
	       "  --env E            only tokens of this environment pass "
	       "(JETON_ENV)\n"
	       "  --http-listen A:P  HTTP on a loopback address, too "
	       "(JETON_HTTP_LISTEN)\n"
	       "  --log-format F     plain or json (JETON_LOG_FORMAT)\n"
	       "  --user U           started as root: workers become U "
	       "(JETON_USER)\n"
	       "  --backend B        auto, uring or epoll; auto: io_uring "
	       "unless it is\n"
	       "                     refused (JETON_BACKEND)\n",
	       JT_RESP_NAME, JT_CONTROL_NAME);
	for (size_t i = 0; i < N_NUMBERS; i++)
		printf("  --%-12s N   %s (%llu; %s)\n", settings[i].name,
		       settings[i].help,
		       (unsigned long long)settings[i].fallback,
		       settings[i].env);
	printf("  --check-config     say what is wrong with the settings, and "
	       "end\n"
	       "  --print-config     print them as a file, each with its "
	       "origin\n"
	       "  --help, --version\n");
}

static uint64_t *number_of(struct jt_config *config, unsigned i)
{
	return (uint64_t *)(void *)((char *)config + settings[i].offset);
}

/* ---- one setting ---- */

static bool env_ok(const char *text, enum jt_origin from)
{
	/* a file says `any` by saying nothing */
	return (!*text && from == JT_ORIGIN_FILE) ||
	       jt_env_ok(text, strlen(text));
}

static bool listen_ok(const char *text)
{
	return !*text ||
	       (strlen(text) < LISTEN_MAX && jt_doors_loopback_ok(text));
}

static bool log_format_ok(const char *text)
{
	return strcmp(text, "plain") == 0 || strcmp(text, "json") == 0;
}

static bool user_ok(const char *text, enum jt_origin from)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t n = strlen(text);

	if (n == 0)
		return from == JT_ORIGIN_FILE; /* says nothing */
	return n < USER_MAX && text[0] != '-' && strspn(text, may) == n;
}

static const char *const backends[] = {
	[JT_BACKEND_AUTO] = "auto",
	[JT_BACKEND_URING] = "uring",
	[JT_BACKEND_EPOLL] = "epoll",
};

/* False: there is none of that name. */
static bool find_backend(const char *text, enum jt_backend *backendp)
{
	for (unsigned i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (strcmp(text, backends[i]) != 0)
			continue;
		*backendp = (enum jt_backend)i;
		return true;
	}
	return false;
}

/* The rest of a path is checked where paths are made: admin/paths.h. */
static bool path_ok(const char *text, enum jt_origin from)
{
	return from != JT_ORIGIN_FILE || text[0] == '/';
}

static bool is_good(unsigned i, const char *text, enum jt_origin from)
{
	enum jt_backend backend;
	uint64_t value;

	switch (i) {
	case JT_SETTING_data:
	case JT_SETTING_run:
		return path_ok(text, from);
	case JT_SETTING_env:
		return env_ok(text, from);
	case JT_SETTING_http_listen:
		return listen_ok(text);
	case JT_SETTING_log_format:
		return log_format_ok(text);
	case JT_SETTING_user:
		return user_ok(text, from);
	case JT_SETTING_backend:
		return find_backend(text, &backend);
	default:
		return jt_settings_number(text, settings[i].least,
					  settings[i].most, &value);
	}
}

static void put(struct reading *r, unsigned i, const char *text)
{
	struct jt_config *c = r->config;

	switch (i) {
	case JT_SETTING_data:
	case JT_SETTING_run:
		snprintf(r->paths[i - JT_SETTING_data], PATH_MAX + 1, "%s",
			 text);
		break;
	case JT_SETTING_env:
		snprintf(c->env, sizeof(c->env), "%s", text);
		break;
	case JT_SETTING_http_listen:
		snprintf(c->http_listen, sizeof(c->http_listen), "%s", text);
		break;
	case JT_SETTING_log_format:
		c->log_format =
			strcmp(text, "json") ? JT_LOG_PLAIN : JT_LOG_JSON;
		break;
	case JT_SETTING_user:
		snprintf(c->user, sizeof(c->user), "%s", text);
		break;
	case JT_SETTING_backend:
		find_backend(text, &c->backend);
		break;
	default:
		jt_settings_number(text, 0, UINT64_MAX, number_of(c, i));
	}
}

static void describe(unsigned i, char *out, size_t bytes)
{
	if (i < N_NUMBERS)
		snprintf(out, bytes, "a number from %llu to %llu",
			 (unsigned long long)settings[i].least,
			 (unsigned long long)settings[i].most);
	else
		snprintf(out, bytes, "%s", settings[i].help);
}

/* False: TEXT is no value of setting I. */
static bool take(struct reading *r, unsigned i, const char *text,
		 enum jt_origin from, uint32_t line)
{
	struct jt_config *c = r->config;

	if (!is_good(i, text, from))
		return false;
	if (from < c->origins[i])
		return true;
	c->origins[i] = (uint8_t)from;
	c->lines[i] = line;
	put(r, i, text);
	return true;
}

static int refuse(struct reading *r, unsigned i, const char *before,
		  const char *name, int rc)
{
	char takes[128];

	describe(i, takes, sizeof(takes));
	snprintf(r->why, JT_CONFIG_LINE,
		 "the value of %s%s is not understood; it takes %s", before,
		 name, takes);
	return rc;
}

/* ---- flags ---- */

static void list_options(struct option options[JT_SETTINGS_N + 6])
{
	static const struct option fixed[] = {
		{"config", required_argument, NULL, FLAG_CONFIG},
		{"check-config", no_argument, NULL, FLAG_CHECK},
		{"print-config", no_argument, NULL, FLAG_PRINT},
		{"help", no_argument, NULL, FLAG_HELP},
		{"version", no_argument, NULL, FLAG_VERSION},
		{0},
	};

	for (size_t i = 0; i < JT_SETTINGS_N; i++)
		options[i] = (struct option){settings[i].name,
					     required_argument, NULL, (int)i};
	/* alone it means yes */
	options[JT_SETTING_insecure_debug].has_arg = optional_argument;
	memcpy(options + JT_SETTINGS_N, fixed, sizeof(fixed));
}

static int take_flag(struct reading *r, int flag)
{
	switch (flag) {
	case FLAG_CONFIG:
		r->file = optarg;
		return 0;
	case FLAG_CHECK:
		r->config->mode = JT_CONFIG_CHECK;
		return 0;
	case FLAG_PRINT:
		r->config->mode = JT_CONFIG_PRINT;
		return 0;
	case FLAG_HELP:
		help();
		return JT_CONFIG_E_DONE;
	case FLAG_VERSION:
		printf("jetond " JT_VERSION "\n");
		return JT_CONFIG_E_DONE;
	case '?':
		/* never what was given: it may be a token */
		snprintf(r->why, JT_CONFIG_LINE,
			 "a flag is unknown or lacks its value; see jetond "
			 "--help");
		return JT_CONFIG_E_USAGE;
	}
	if (take(r, (unsigned)flag, optarg ? optarg : "1", JT_ORIGIN_FLAG, 0))
		return 0;
	return refuse(r, (unsigned)flag, "--", settings[flag].name,
		      JT_CONFIG_E_USAGE);
}

static int from_flags(struct reading *r)
{
	struct option options[JT_SETTINGS_N + 6];
	int flag, rc;

	list_options(options);
	opterr = 0;
	optind = 0; /* from the first, also the second time */
	while ((flag = getopt_long(r->config->argc, r->config->argv, "",
				   options, NULL)) != -1) {
		rc = take_flag(r, flag);
		if (rc)
			return rc;
	}
	if (optind == r->config->argc)
		return 0;
	snprintf(r->why, JT_CONFIG_LINE,
		 "takes no arguments, only flags; see jetond --help");
	return JT_CONFIG_E_USAGE;
}

/* ---- environment ---- */

/* As paths.h does, nothing is no path. */
static bool is_given(unsigned i, const char *text)
{
	bool is_path = i == JT_SETTING_data || i == JT_SETTING_run;

	return text && (*text || !is_path);
}

static int from_environment(struct reading *r)
{
	for (unsigned i = 0; i < JT_SETTINGS_N; i++) {
		const char *text = getenv(settings[i].env);

		if (is_given(i, text) &&
		    !take(r, i, text, JT_ORIGIN_ENVIRONMENT, 0))
			return refuse(r, i, "", settings[i].env,
				      JT_CONFIG_E_BAD);
	}
	return 0;
}

/* ---- the file ---- */

static int take_key(void *ctx, const char *key, const char *value,
		    unsigned line, struct jt_fault *faultp)
{
	struct reading *r = ctx;
	char takes[128];

	for (unsigned i = 0; i < JT_SETTINGS_N; i++) {
		if (strcmp(settings[i].name, key) != 0)
			continue;
		if (take(r, i, value, JT_ORIGIN_FILE, line))
			return 0;
		describe(i, takes, sizeof(takes));
		return jt_fault_set(faultp, JT_CONFIG_E_BAD, line, 0,
				    "the value is not understood; %s takes %s",
				    key, takes);
	}
	return jt_fault_set(faultp, JT_CONFIG_E_BAD, line, 0,
			    "[jetond] has no such key; it has data, run, and "
			    "what jetond --help lists behind `--config`");
}

/* Which file? NULL: none. */
static const char *choose_file(struct reading *r, bool *askedp)
{
	const char *env = getenv("JETON_CONFIG");

	*askedp = true;
	if (r->file)
		return r->file;
	if (env && *env)
		return env;
	*askedp = false;
	return geteuid() == 0 ? JT_CONFIG_PATH : NULL;
}

/* One that a shell's user could make a second line of. */
static bool is_printable(const char *path)
{
	for (; *path; path++)
		if ((uint8_t)*path < ' ' || *path == 0x7f)
			return false;
	return true;
}

static int bad_file(struct reading *r, const char *path,
		    const struct jt_fault *fault)
{
	if (fault->number)
		snprintf(r->why, JT_CONFIG_LINE, "%s:%llu: %s", path,
			 (unsigned long long)fault->number, fault->line);
	else
		snprintf(r->why, JT_CONFIG_LINE, "%s: %s", path, fault->line);
	return JT_CONFIG_E_BAD;
}

static int from_file(struct reading *r)
{
	struct jt_fault fault = {0};
	bool asked;
	const char *path = choose_file(r, &asked);
	int rc;

	jt_settings_file_none(&r->config->content);
	if (!path)
		return 0;
	if (!is_printable(path) || strlen(path) >= sizeof(r->config->file)) {
		snprintf(r->why, JT_CONFIG_LINE,
			 "the configuration file's name is too long or holds "
			 "a control character; choose another");
		return JT_CONFIG_E_BAD;
	}
	rc = jt_settings_file_read(&r->config->content, path, take_key, r,
				   &fault);
	if (rc == -ENOENT && !asked)
		return 0;
	if (rc == -ENOENT)
		jt_fault_set(&fault, rc, 0, 0,
			     "there is no such file; make it, or name another "
			     "with --config");
	if (rc)
		return bad_file(r, path, &fault);
	strcpy(r->config->file, path);
	return 0;
}

/* ---- all together ---- */

static void choose_workers(struct jt_config *config)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!config->workers)
		config->workers = cores > 2 ? (uint64_t)cores - 1 : 1;
	if (config->workers > JT_RESP_WORKERS_MAX)
		config->workers = JT_RESP_WORKERS_MAX;
}

/* What a path's place is given to paths.h as; the environment it knows. */
static const char *path_of(const struct reading *r, unsigned i)
{
	uint8_t from = r->config->origins[i];

	return from == JT_ORIGIN_FLAG || from == JT_ORIGIN_FILE
		       ? r->paths[i - JT_SETTING_data]
		       : NULL;
}

static int resolve(struct reading *r)
{
	struct jt_fault fault = {0};
	int rc =
		jt_paths_resolve(&r->config->paths, path_of(r, JT_SETTING_data),
				 path_of(r, JT_SETTING_run), &fault);

	if (!rc)
		return 0;
	snprintf(r->why, JT_CONFIG_LINE, "%s",
		 fault.line[0] ? fault.line : strerror(rc < 0 ? -rc : EINVAL));
	return JT_CONFIG_E_BAD;
}

static int gather(struct jt_config *config, int argc, char **argv, char *why)
{
	static struct reading r;
	int rc;

	memset(&r, 0, sizeof(r));
	memset(config, 0, sizeof(*config));
	r.config = config;
	r.why = why;
	config->argc = argc;
	config->argv = argv;
	for (unsigned i = 0; i < N_NUMBERS; i++)
		*number_of(config, i) = settings[i].fallback;
	rc = from_flags(&r);
	if (!rc)
		rc = from_environment(&r);
	if (!rc)
		rc = from_file(&r);
	if (!rc)
		rc = resolve(&r);
	if (!rc)
		choose_workers(config);
	return rc;
}

int jt_config_read(struct jt_config *config, int argc, char **argv)
{
	char why[JT_CONFIG_LINE];
	int rc = gather(config, argc, argv, why);

	jt_log_format(config->log_format);
	if (rc && rc != JT_CONFIG_E_DONE)
		jt_log(JT_LOG_ERROR, "%s", why);
	return rc;
}

int jt_config_again(const struct jt_config *old, struct jt_config *nextp,
		    char why[JT_CONFIG_LINE])
{
	int rc = gather(nextp, old->argc, old->argv, why);

	if (!rc && old->file[0] && !nextp->file[0]) {
		snprintf(why, JT_CONFIG_LINE,
			 "%s is gone; put it back, an empty one if nothing is "
			 "to be set",
			 old->file);
		return JT_CONFIG_E_BAD;
	}
	return rc ? JT_CONFIG_E_BAD : 0;
}

/* ---- printing and comparing ---- */

/* The text that, taken, gives what is so. */
static const char *text_of(const struct jt_config *config, unsigned i,
			   char number[24])
{
	uint64_t value;

	switch (i) {
	case JT_SETTING_data:
		return config->paths.data;
	case JT_SETTING_run:
		return config->paths.run;
	case JT_SETTING_env:
		return config->env;
	case JT_SETTING_http_listen:
		return config->http_listen;
	case JT_SETTING_log_format:
		return config->log_format == JT_LOG_JSON ? "json" : "plain";
	case JT_SETTING_user:
		return config->user;
	case JT_SETTING_backend:
		return backends[config->backend];
	default:
		memcpy(&value, (const char *)config + settings[i].offset,
		       sizeof(value));
		snprintf(number, 24, "%llu", (unsigned long long)value);
		return number;
	}
}

void jt_config_differ(const struct jt_config *a, const struct jt_config *b,
		      char *names, size_t bytes)
{
	char one[24], other[24];

	names[0] = '\0';
	for (unsigned i = 0; i < JT_SETTINGS_N; i++) {
		size_t n = strlen(names);

		if (strcmp(text_of(a, i, one), text_of(b, i, other)) != 0)
			snprintf(names + n, bytes - n, "%s%s", n ? ", " : "",
				 settings[i].name);
	}
}

static void print_origin(const struct jt_config *config, unsigned i,
			 const char *path, FILE *out)
{
	switch (config->origins[i]) {
	case JT_ORIGIN_FLAG:
		fprintf(out, "# flag --%s\n", settings[i].name);
		break;
	case JT_ORIGIN_ENVIRONMENT:
		fprintf(out, "# environment %s\n", settings[i].env);
		break;
	case JT_ORIGIN_FILE:
		fprintf(out, "# %s:%u\n", path, config->lines[i]);
		break;
	default:
		fprintf(out, "# default\n");
	}
}

/* On a line with a few more words, read back as it is? */
static bool fits(const char *text)
{
	size_t n = strlen(text);

	return jt_label_check(text, n, JT_SETTINGS_LINE_MAX - 30) == 0 &&
	       text[n - 1] != ' ';
}

int jt_config_print(const struct jt_config *config, FILE *out,
		    char why[JT_CONFIG_LINE])
{
	const char *path = config->file;
	char number[24];

	if (!fits(config->paths.data) || !fits(config->paths.run)) {
		snprintf(why, JT_CONFIG_LINE,
			 "a directory's name is longer than a line of a file, "
			 "ends in a blank or is no UTF-8; give it with --data "
			 "or --run, and another one here");
		return JT_CONFIG_E_BAD;
	}
	if (*path && !fits(path))
		path = "the file"; /* in comments */
	fprintf(out, "# jetond " JT_VERSION "\n# %s%s\n",
		*path ? "read from " : "no file was read", path);
	fprintf(out, "\n[jetond]\n");
	for (unsigned i = 0; i < JT_SETTINGS_N; i++) {
		const char *text = text_of(config, i, number);

		print_origin(config, i, path, out);
		fprintf(out, "%s =%s%s\n", settings[i].name, *text ? " " : "",
			text);
	}
	jt_settings_file_print(&config->content, path, out);
	return 0;
}
