/* jeton: see jeton.h. */
#include "bench/jeton.h"

#include "bench/ask.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

static int write_wishes(const char *path, size_t n)
{
	FILE *f = fopen(path, "we");
	int r = 0;

	if (!f)
		return -errno;
	fprintf(f, "name,expires,env,owner,rate,burst\n");
	for (size_t i = 0; i < n; i++)
		fprintf(f, "bench %zu,90d,live,bench,%u/s,%u\n", i,
			JT_JETON_RATE, JT_JETON_BURST);
	fprintf(f, "hot,90d,live,bench,%u/s,%u\n", JT_JETON_HOT_RATE,
		JT_JETON_HOT_RATE);
	fprintf(f, "limited,90d,live,bench,%u/s,%u\n", JT_JETON_LIMITED_RATE,
		JT_JETON_LIMITED_BURST);
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

int jt_jeton_create(const char *bin_dir, const char *dir, size_t n,
		    struct jt_tokens *tokens)
{
	struct jt_process p = {0};
	struct places at = {0};
	const char *const argv[] = {
		at.program, "create", "--from", at.from, "--out", at.out,
		"--data",   at.data,  "--run",	at.run,	 NULL,
	};
	int r, status;

	find_places(&at, bin_dir, "jeton", dir);
	r = write_wishes(at.from, n);
	if (r)
		return say(at.from, r, NULL);
	r = jt_process_exec(&p, -1, at.log, argv);
	if (!r)
		r = jt_process_wait(&p, &status);
	if (!r && status)
		r = -ECHILD;
	if (r) {
		say("jeton create failed", r, &p);
		jt_process_stop(&p);
		return r;
	}
	r = jt_tokens_read(tokens, at.out);
	if (!r && tokens->n != n + JT_JETON_EXTRA)
		r = -ENODATA;
	return r ? say(at.out, r, NULL) : 0;
}

void jt_jeton_http(const char *dir, char socket[108])
{
	snprintf(socket, 108, "%.80s/run/jeton-http.sock", dir);
}

int jt_jeton_start(struct jt_process *p, int cpu, const char *bin_dir,
		   const char *dir, const struct jt_tokens *tokens,
		   char socket[108])
{
	char capacity[24], first[128];
	struct places at = {0};
	const char *const argv[] = {
		at.program,  "--data", at.data,	     "--run",  at.run,
		"--workers", "1",      "--capacity", capacity, NULL,
	};
	int n, r;

	find_places(&at, bin_dir, "jetond", dir);
	snprintf(capacity, sizeof(capacity), "%zu",
		 tokens->n + tokens->n / 8 + 64);
	snprintf(socket, 108, "%.90s/jeton.sock", at.run);
	n = snprintf(first, sizeof(first), "%s%.*s%s", JT_VERIFY_BEFORE,
		     (int)JT_TOKEN_BYTES, tokens->values[0], JT_VERIFY_AFTER);
	r = jt_process_exec(p, cpu, at.log, argv);
	if (!r)
		r = jt_ask_until(p, socket, '$', first, (size_t)n, "VALID");
	return r ? say("jetond does not serve", r, p) : 0;
}
