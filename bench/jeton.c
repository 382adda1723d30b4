/* jeton: see jeton.h. */
#include "bench/jeton.h"

#include "bench/ask.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX 24u
#define PART_MAX                                                               \
	2000000u /* rows of one file; more than 4 million are refused */

struct places {
	char program[PATH_MAX];
	char data[128], run[128], from[128], out[128], log[128];
};

static void find_places(struct places *at, const char *bin_dir,
			const char *program, const char *dir)
{
	snprintf(at->program, sizeof(at->program), "%s/%s", bin_dir, program);
	snprintf(at->data, sizeof(at->data), "%.80s/data", dir);
	snprintf(at->run, sizeof(at->run), "%.80s/run", dir);
	snprintf(at->from, sizeof(at->from), "%.80s/from.csv", dir);
	snprintf(at->out, sizeof(at->out), "%.80s/out.csv", dir);
	snprintf(at->log, sizeof(at->log), "%.80s/%s.log", dir, program);
	mkdir(at->data, 0700);
	mkdir(at->run, 0700);
}

/* N of them, those behind FIRST others; the two that everybody asks for come
 * at the end of all. */
static int write_wishes(const char *path, size_t first, size_t n, bool is_last)
{
	FILE *f = fopen(path, "we");
	int r = 0;

	if (!f)
		return -errno;
	fprintf(f, "name,expires,env,owner,rate,burst\n");
	for (size_t i = 0; i < n; i++)
		fprintf(f, "bench %zu,90d,live,bench,%u/s,%u\n", first + i,
			JT_JETON_RATE, JT_JETON_BURST);
	if (is_last)
		fprintf(f,
			"hot,90d,live,bench,%u/s,%u\n"
			"limited,90d,live,bench,%u/s,%u\n",
			JT_JETON_HOT_RATE, JT_JETON_HOT_RATE,
			JT_JETON_LIMITED_RATE, JT_JETON_LIMITED_BURST);
	if (ferror(f))
		r = -EIO;
	if (fclose(f))
		r = -errno;
	return r;
}

static int say(const char *what, int r, const struct jt_process *p)
{
	if (r == -EINTR)
		return r;
	fprintf(stderr, "jeton-bench: %s: %s\n", what, strerror(-r));
	if (p)
		jt_process_show_log(p);
	return r;
}

/* The program, MORE, and where its journal and its sockets are. */
static void put_args(const struct places *at, const char *const more[],
		     const char *argv[ARGS_MAX])
{
	unsigned n = 0;

	argv[n++] = at->program;
	for (; *more && n < ARGS_MAX - 5; more++)
		argv[n++] = *more;
	argv[n++] = "--data";
	argv[n++] = at->data;
	argv[n++] = "--run";
	argv[n++] = at->run;
	argv[n] = NULL;
}

/* Its output goes to `at->log`. */
static int run_admin(const struct places *at, const char *const verb[],
		     struct jt_process *p)
{
	const char *argv[ARGS_MAX];
	int r, status;

	put_args(at, verb, argv);
	r = jt_process_exec(p, -1, at->log, argv);
	if (!r)
		r = jt_process_wait(p, &status);
	if (!r && status)
		r = -ECHILD;
	if (r)
		jt_process_stop(p);
	return r;
}

int jt_jeton_admin_exec(struct jt_process *p, const char *bin_dir,
			const char *dir, const char *const verb[])
{
	const char *argv[ARGS_MAX];
	struct places at = {0};

	find_places(&at, bin_dir, "jeton", dir);
	put_args(&at, verb, argv);
	return jt_process_exec(p, -1, at.log, argv);
}

int jt_jeton_admin(const char *bin_dir, const char *dir,
		   const char *const verb[])
{
	struct jt_process p = {0};
	struct places at = {0};
	char what[64];
	int r;

	find_places(&at, bin_dir, "jeton", dir);
	r = run_admin(&at, verb, &p);
	snprintf(what, sizeof(what), "jeton %.40s failed", verb[0]);
	return r ? say(what, r, &p) : 0;
}

json_t *jt_jeton_status(const char *bin_dir, const char *dir)
{
	const char *const verb[] = {"status", "--json", NULL};
	struct jt_process p = {0};
	struct places at = {0};

	find_places(&at, bin_dir, "jeton", dir);
	snprintf(at.log, sizeof(at.log), "%.80s/status.json", dir);
	unlink(at.log);
	run_admin(&at, verb, &p);
	/* a sidecar that is not well is told by its exit code, too */
	return json_load_file(at.log, JSON_DISABLE_EOF_CHECK, NULL);
}

/* One file of N, and what came of it behind TOKENS. */
static int create_part(const struct places *at, const char *bin_dir,
		       const char *dir, size_t first, size_t n, bool is_last,
		       struct jt_tokens *tokens)
{
	const char *const verb[] = {
		"create", "--from", at->from, "--out", at->out, NULL,
	};
	struct jt_tokens part = {0};
	int r = write_wishes(at->from, first, n, is_last);

	if (r)
		return say(at->from, r, NULL);
	unlink(at->out);
	r = jt_jeton_admin(bin_dir, dir, verb);
	if (r)
		return r;
	r = jt_tokens_read(&part, at->out);
	if (!r && part.n != n + (is_last ? JT_JETON_EXTRA : 0))
		r = -ENODATA;
	if (!r)
		r = jt_tokens_append(tokens, &part);
	jt_tokens_free(&part);
	return r ? say(at->out, r, NULL) : 0;
}

int jt_jeton_create(const char *bin_dir, const char *dir, size_t n,
		    struct jt_tokens *tokens)
{
	struct places at = {0};
	size_t part;
	int r = 0;

	*tokens = (struct jt_tokens){0};
	find_places(&at, bin_dir, "jeton", dir);
	for (size_t i = 0; !r && i < n; i += part) {
		part = n - i < PART_MAX ? n - i : PART_MAX;
		r = create_part(&at, bin_dir, dir, i, part, i + part == n,
				tokens);
	}
	if (r)
		jt_tokens_free(tokens);
	return r;
}

void jt_jeton_http(const char *dir, char socket[108])
{
	snprintf(socket, 108, "%.80s/run/jeton-http.sock", dir);
}

int jt_jeton_exec(struct jt_process *p, int cpu, const char *bin_dir,
		  const char *dir, const char *const more[], char socket[108])
{
	const char *argv[ARGS_MAX];
	struct places at = {0};
	int r;

	find_places(&at, bin_dir, "jetond", dir);
	snprintf(socket, 108, "%.90s/jeton.sock", at.run);
	put_args(&at, more, argv);
	r = jt_process_exec(p, cpu, at.log, argv);
	return r ? say(at.program, r, NULL) : 0;
}

int jt_jeton_await(struct jt_process *p, const char *socket, const char *value)
{
	char first[128];
	int n = snprintf(first, sizeof(first), "%s%.*s%s", JT_VERIFY_BEFORE,
			 (int)JT_TOKEN_BYTES, value, JT_VERIFY_AFTER);
	int r = jt_ask_until(p, socket, '$', first, (size_t)n, "VALID");

	return r ? say("jetond does not serve", r, p) : 0;
}

int jt_jeton_start(struct jt_process *p, int cpu, const char *bin_dir,
		   const char *dir, const struct jt_tokens *tokens,
		   char socket[108])
{
	char capacity[24];
	const char *const more[] = {
		"--workers", "1", "--capacity", capacity, NULL,
	};
	int r;

	snprintf(capacity, sizeof(capacity), "%zu",
		 tokens->n + tokens->n / 8 + 64);
	r = jt_jeton_exec(p, cpu, bin_dir, dir, more, socket);
	return r ? r : jt_jeton_await(p, socket, tokens->values[0]);
}
