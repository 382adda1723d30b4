/*
 * subjects: see subjects.h.
 *
 * Tokens first (by jeton itself when it takes part), then the servers, filled
 * in the order of creation; only then the tokens are shuffled and the requests
 * rendered. So neighbours in a batch are no neighbours in any server's memory.
 */
#include "bench/subjects.h"

#include "bench/echo.h"
#include "bench/fill.h"
#include "bench/floor.h"
#include "bench/http_floor.h"
#include "bench/jeton.h"
#include "bench/memcached.h"
#include "bench/redis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VALUE "0123456789abcdef0123456789abcdef"
#define GET_BEFORE "*2\r\n$3\r\nGET\r\n$64\r\n"
#define SET_BEFORE "*3\r\n$3\r\nSET\r\n$64\r\n"
#define SET_AFTER "\r\n$32\r\n" VALUE "\r\n"

#define HTTP_BEFORE                                                            \
	"GET /auth/default HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer "
#define HTTP_AFTER "\r\n\r\n"

struct kind {
	const char *name;
	const char *what;
	char want_type;
	const char *want;
	int (*start)(struct jt_subjects *s, struct jt_subject *one);
};

/* A server of our own: BODY in a child, on a socket called after ONE. */
static int start_own(struct jt_subjects *s, struct jt_subject *one,
		     int (*body)(void *), void *arg, int *listenerp)
{
	char log[160];
	int r;

	snprintf(one->socket, sizeof(one->socket), "%.80s/%s.sock", s->dir,
		 one->name);
	snprintf(log, sizeof(log), "%.80s/%s.log", s->dir, one->name);
	*listenerp = jt_floor_listen(one->socket);
	if (*listenerp < 0) {
		fprintf(stderr, "jeton-bench: %s: %s\n", one->socket,
			strerror(-*listenerp));
		return *listenerp;
	}
	r = jt_process_fork(&one->process, s->machine->server_cpu, log, body,
			    arg);
	close(*listenerp);
	return r;
}

static int start_floor(struct jt_subjects *s, struct jt_subject *one)
{
	struct jt_floor floor = {
		.request_bytes = strlen(JT_VERIFY_BEFORE) + JT_TOKEN_BYTES +
				 strlen(JT_VERIFY_AFTER),
	};

	return start_own(s, one, jt_floor_serve, &floor, &floor.listener);
}

static int start_echo(struct jt_subjects *s, struct jt_subject *one)
{
	struct jt_floor floor = {
		.request_bytes = strlen(JT_VERIFY_BEFORE) + JT_TOKEN_BYTES +
				 strlen(JT_VERIFY_AFTER),
	};

	return start_own(s, one, jt_echo_serve, &floor, &floor.listener);
}

static int start_get(struct jt_subjects *s, struct jt_subject *one)
{
	int r = jt_redis_start(&one->process, s->machine->server_cpu, s->dir,
			       "get", one->socket);

	if (r)
		return r;
	jt_redis_version(one->socket, s->redis_version,
			 sizeof(s->redis_version));
	return jt_fill(one->socket, &s->tokens, SET_BEFORE, SET_AFTER, '+',
		       "OK");
}

static int start_memcached(struct jt_subjects *s, struct jt_subject *one)
{
	int r = jt_memcached_start(&one->process, s->machine->server_cpu,
				   s->dir, s->n_tokens, one->socket);

	if (r)
		return r;
	jt_memcached_version(one->socket, s->memcached_version,
			     sizeof(s->memcached_version));
	return jt_memcached_fill(one->socket, &s->tokens, VALUE);
}

static int start_eval(struct jt_subjects *s, struct jt_subject *one)
{
	int r = jt_redis_start(&one->process, s->machine->server_cpu, s->dir,
			       "eval", one->socket);

	if (!r)
		r = jt_redis_fill_hashes(one->socket, &s->tokens);
	return r ? r
		 : jt_redis_load_script(one->socket, JT_REDIS_HASH,
					one->script);
}

/* The server packs by itself what verify_packed.lua unpacks. */
static int fill_packed(const struct jt_subjects *s, const char *socket)
{
	char script[256], before[512];

	snprintf(script, sizeof(script),
		 "return redis.call('SET',KEYS[1],struct.pack("
		 "'<BI4I4I4ds',1,%lld,%u,%u,0,'bench'))",
		 (long long)time(NULL) + 90 * 86400, 1000000 / JT_JETON_RATE,
		 JT_JETON_BURST);
	snprintf(before, sizeof(before),
		 "*4\r\n$4\r\nEVAL\r\n$%zu\r\n%s\r\n$1\r\n1\r\n$64\r\n",
		 strlen(script), script);
	return jt_fill(socket, &s->tokens, before, "\r\n", '+', "OK");
}

static int start_packed(struct jt_subjects *s, struct jt_subject *one)
{
	int r = jt_redis_start(&one->process, s->machine->server_cpu, s->dir,
			       "packed", one->socket);

	if (!r)
		r = fill_packed(s, one->socket);
	return r ? r
		 : jt_redis_load_script(one->socket, JT_REDIS_PACKED,
					one->script);
}

static int start_jeton(struct jt_subjects *s, struct jt_subject *one)
{
	return jt_jeton_start(&one->process, s->machine->server_cpu, s->bin_dir,
			      s->dir, &s->tokens, one->socket);
}

static int start_http(struct jt_subjects *s, struct jt_subject *one)
{
	int jeton = jt_subjects_find(s, "jeton"), r = 0;
	char resp[108];

	if (jeton >= 0) {
		one->process = s->list[jeton].process;
		one->borrowed = true;
	} else {
		r = jt_jeton_start(&one->process, s->machine->server_cpu,
				   s->bin_dir, s->dir, &s->tokens, resp);
	}
	jt_jeton_http(s->dir, one->socket);
	return r;
}

static int start_bare(struct jt_subjects *s, struct jt_subject *one)
{
	int listener;

	return start_own(s, one, jt_http_floor_serve, &listener, &listener);
}

/* In the order in which they start. */
static const struct kind kinds[JT_SUBJECTS_MAX] = {
	{"floor", "bare io_uring loop, same lengths", '$', "VALID",
	 start_floor},
	{"echo", "bare epoll server, same lengths", '$', "VALID", start_echo},
	{"get", "Redis GET, 64-byte keys", '$', VALUE, start_get},
	{"eval", "Redis EVALSHA of the same checks, hash", '$', "VALID",
	 start_eval},
	{"packed", "Redis EVALSHA of the same checks, string", '$', "VALID",
	 start_packed},
	{"memcached", "memcached mg, 64-byte keys", 'M', VALUE,
	 start_memcached},
	{"jeton", "jetond VERIFY, rate limit spent", '$', "VALID", start_jeton},
	{"http", "jetond HTTP, GET /auth/default", 'H', "200", start_http},
	{"bare", "bare libmicrohttpd, same lengths", 'H', "200", start_bare},
};

static bool is_wished(const char *wishes, const char *name)
{
	size_t n = strlen(name), k;

	for (;; wishes += k + 1) {
		k = strcspn(wishes, ",");
		if (k == n && memcmp(wishes, name, n) == 0)
			return true;
		if (!wishes[k])
			return false;
	}
}

static int choose(struct jt_subjects *s, const char *wishes)
{
	unsigned wished = 1;

	for (const char *c = wishes; *c; c++)
		wished += *c == ',';
	s->n = 0;
	for (unsigned k = 0; k < JT_SUBJECTS_MAX; k++) {
		if (!is_wished(wishes, kinds[k].name))
			continue;
		s->list[s->n].name = kinds[k].name;
		s->list[s->n].what = kinds[k].what;
		s->list[s->n].load.name = "";
		s->list[s->n].load.want_type = kinds[k].want_type;
		s->list[s->n++].load.want = kinds[k].want;
	}
	if (s->n == wished)
		return 0;
	fprintf(stderr,
		"jeton-bench: subjects are floor, echo, get, eval, packed, "
		"memcached, jeton, http, bare; not '%s'\n",
		wishes);
	return JT_SUBJECTS_E_NAME;
}

static int make_tokens(struct jt_subjects *s)
{
	uint64_t start_ns = jt_machine_now_ns();
	int r;

	if (jt_subjects_find(s, "jeton") < 0 && jt_subjects_find(s, "http") < 0)
		return jt_tokens_make(&s->tokens, s->n_tokens + JT_JETON_EXTRA);
	fprintf(stderr, "jeton create: %zu tokens ...\n", s->n_tokens);
	r = jt_jeton_create(s->bin_dir, s->dir, s->n_tokens + 1, &s->tokens);
	s->create_s = (double)(jt_machine_now_ns() - start_ns) / 1e9;
	return r;
}

static int start_one(struct jt_subjects *s, struct jt_subject *one)
{
	uint64_t start_ns = jt_machine_now_ns();
	int r = -EINVAL;

	if (jt_process_interrupted())
		return -EINTR;
	fprintf(stderr, "starting %s: %s ...\n", one->name, one->what);
	for (unsigned k = 0; k < JT_SUBJECTS_MAX; k++)
		if (strcmp(kinds[k].name, one->name) == 0)
			r = kinds[k].start(s, one);
	one->setup_s = (double)(jt_machine_now_ns() - start_ns) / 1e9;
	return r;
}

int jt_subjects_render(const struct jt_subject *one,
		       const struct jt_tokens *tokens, struct jt_requests *q)
{
	char eval[128];

	if (strcmp(one->name, "get") == 0)
		return jt_tokens_render(tokens, GET_BEFORE, "\r\n", q);
	if (one->load.want_type == 'M')
		return jt_tokens_render(tokens, "mg ", " v\r\n", q);
	if (one->load.want_type == 'H')
		return jt_tokens_render(tokens, HTTP_BEFORE, HTTP_AFTER, q);
	if (!one->script[0])
		return jt_tokens_render(tokens, JT_VERIFY_BEFORE,
					JT_VERIFY_AFTER, q);
	snprintf(eval, sizeof(eval),
		 "*4\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$64\r\n",
		 one->script);
	return jt_tokens_render(tokens, eval, "\r\n", q);
}

int jt_subjects_connect(struct jt_subjects *s, struct jt_subject *one)
{
	int r = jt_subjects_render(one, &s->tokens, &one->load.requests);

	if (!r)
		r = jt_loadgen_open(one->socket, s->connections, &one->loadgen);
	if (r)
		fprintf(stderr, "jeton-bench: connecting to %s: %s\n",
			one->name, strerror(-r));
	return r;
}

int jt_subjects_start(struct jt_subjects *s, const char *wishes)
{
	int r = choose(s, wishes);

	if (!r)
		r = make_tokens(s);
	for (unsigned i = 0; !r && i < s->n; i++)
		r = start_one(s, &s->list[i]);
	if (r)
		return r;
	s->tokens.n -= JT_JETON_EXTRA;
	s->hot = (struct jt_tokens){s->tokens.values + s->tokens.n, 1};
	s->limited = (struct jt_tokens){s->tokens.values + s->tokens.n + 1, 1};
	jt_tokens_shuffle(&s->tokens, s->seed);
	return 0;
}

void jt_subjects_stop(struct jt_subjects *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		jt_loadgen_close(s->list[i].loadgen);
		if (!s->list[i].borrowed)
			jt_process_stop(&s->list[i].process);
		jt_tokens_free_requests(&s->list[i].load.requests);
	}
	jt_tokens_free(&s->tokens);
	s->n = 0;
}

int jt_subjects_find(const struct jt_subjects *s, const char *name)
{
	for (unsigned i = 0; i < s->n; i++)
		if (strcmp(s->list[i].name, name) == 0)
			return (int)i;
	return -1;
}
