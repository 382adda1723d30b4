/*
 * hot: see hot.h.
 *
 * Each process attaches, says that it is ready, and begins when all are. What
 * they counted stands in memory that they share with this one, on lines of
 * their own.
 */
#include "bench/hot.h"

#include "bench/derived.h"
#include "bench/jeton.h"
#include "shm/atomic.h"
#include "shm/jeton.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROCESSES 2u
#define BATCH 32u
#define TURN 64u /* calls between looks at the clock */
#define NS_PER_S 1000000000ull

struct count {
	_Alignas(64) _Atomic uint64_t calls;
	_Atomic uint64_t admitted;
	_Atomic uint64_t ns;
	_Atomic uint64_t own_ns; /* of CPU time in it */
};

struct shared {
	_Alignas(64) _Atomic uint64_t ready;
	struct count counts[PROCESSES];
};

struct task {
	const struct jt_hot *hot;
	enum jt_hot_way way;
	unsigned n, me;
	struct shared *shared;
};

/* A turn of calls; how many were admitted, or a negative errno. */
static int take_turn(struct jeton *handle, enum jt_hot_way way,
		     const char token[JT_TOKEN_BYTES])
{
	struct jeton_verdict v[BATCH];
	struct jeton_token tokens[BATCH];
	unsigned many = way == JT_HOT_BATCH ? BATCH : 1;
	int admitted = 0, rc;

	for (unsigned i = 0; i < many; i++)
		tokens[i] = (struct jeton_token){token, JT_TOKEN_BYTES};
	for (unsigned k = 0; k < TURN; k += many) {
		rc = many > 1
			     ? jeton_verify_batch(handle, many, tokens, NULL, v)
			     : jeton_verify(handle, token, JT_TOKEN_BYTES, NULL,
					    v);
		for (unsigned i = 0; i < many; i++) {
			if (rc || v[i].flags ||
			    (v[i].word != JETON_VALID &&
			     v[i].word != JETON_RATE_LIMITED))
				return rc ? rc : -EPROTO;
			admitted += v[i].word == JETON_VALID;
		}
	}
	return admitted;
}

static int run_process(void *arg)
{
	const struct task *t = arg;
	struct count *c = &t->shared->counts[t->me];
	uint64_t number = t->hot->lender->n + (t->way == JT_HOT_LIMITED);
	uint64_t start_ns, now_ns, end_ns, own_ns;
	char token[JT_TOKEN_BYTES];
	struct jeton *handle;
	int r = jeton_attach(t->hot->lender->dir, 0, &handle);

	if (r)
		return r;
	jt_derived_token(t->hot->lender->seed, number, token);
	jt_add_relaxed(&t->shared->ready, 1);
	/* relaxed: nothing but the number is waited for */
	while (jt_load_relaxed(&t->shared->ready) < t->n)
		;
	own_ns = jt_machine_own_cpu_ns();
	start_ns = now_ns = jt_machine_now_ns();
	end_ns = start_ns + t->hot->slice_ms * 1000000ull;
	while (now_ns < end_ns) {
		r = take_turn(handle, t->way, token);
		if (r < 0)
			return r;
		jt_count(&c->calls, TURN);
		jt_count(&c->admitted, (uint64_t)r);
		now_ns = jt_machine_now_ns();
	}
	/* relaxed, both: read after this process has ended */
	jt_store_relaxed(&c->ns, now_ns - start_ns);
	jt_store_relaxed(&c->own_ns, jt_machine_own_cpu_ns() - own_ns);
	_exit(0);
}

static int count_limited(struct jt_hot *h, uint64_t calls, uint64_t admitted)
{
	uint64_t passed_ns = jt_machine_now_ns() - h->first_ns, allowed;

	h->admitted += admitted;
	h->refused += calls - admitted;
	allowed = JT_JETON_LIMITED_BURST + 1 +
		  passed_ns / (NS_PER_S / JT_JETON_LIMITED_RATE);
	h->beyond = h->admitted > allowed ? h->admitted - allowed : 0;
	return h->beyond ? -EPROTO : 0;
}

static int run_all(struct jt_hot *h, struct task tasks[PROCESSES], unsigned n)
{
	const int cpus[PROCESSES] = {h->machine->client_cpu,
				     h->machine->server_cpu};
	struct jt_process p[PROCESSES] = {0};
	int r = 0, status, wrong = 0;
	char log[160];

	snprintf(log, sizeof(log), "%.80s/hot.log", h->lender->dir);
	for (unsigned i = 0; i < n && !r; i++)
		r = jt_process_fork(&p[i], cpus[i], log, run_process,
				    &tasks[i]);
	for (unsigned i = 0; i < n && !r; i++) {
		r = jt_process_wait(&p[i], &status);
		wrong |= status;
	}
	if (!r && wrong) {
		fprintf(stderr, "jeton-bench: a verifier failed\n");
		jt_process_show_log(&p[0]);
		r = -EPROTO;
	}
	for (unsigned i = 0; i < n; i++)
		jt_process_stop(&p[i]);
	return r;
}

int jt_hot_slice(struct jt_hot *h, enum jt_hot_way way, unsigned n,
		 double *per_sp)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct task tasks[PROCESSES];
	uint64_t calls = 0, admitted = 0, ns;
	int r;

	if (s == MAP_FAILED)
		return -errno;
	if (way == JT_HOT_LIMITED && !h->first_ns)
		h->first_ns = jt_machine_now_ns();
	for (unsigned i = 0; i < PROCESSES; i++)
		tasks[i] = (struct task){h, way, n, i, s};
	r = run_all(h, tasks, n);
	*per_sp = h->own_ns = h->wall_ns = 0;
	for (unsigned i = 0; i < n && !r; i++) {
		/* relaxed: the writers have ended */
		ns = jt_load_relaxed(&s->counts[i].ns);
		h->wall_ns += (double)ns;
		h->own_ns += (double)jt_load_relaxed(&s->counts[i].own_ns);
		calls += jt_load_relaxed(&s->counts[i].calls);
		admitted += jt_load_relaxed(&s->counts[i].admitted);
		*per_sp += (double)jt_load_relaxed(&s->counts[i].calls) * 1e9 /
			   (double)ns;
	}
	munmap(s, sizeof(*s));
	if (r || way == JT_HOT_LIMITED)
		return r ? r : count_limited(h, calls, admitted);
	/* never refused, or it would not be what was to be measured */
	return calls == admitted ? 0 : -EPROTO;
}
