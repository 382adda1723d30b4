/* workloads: see workloads.h. */
#include "bench/workloads.h"

#include "bench/random.h"
#include "bench/zipf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So that the frequent ones come in their share even if there are few. */
#define ZIPF_DRAWS_MIN 200000u

enum {
	ZIPF,
	UNKNOWN,
	MISTYPED,
	HOT,
	LIMITED,
};

const char *const jt_workload_names[JT_WORKLOADS] = {
	[ZIPF] = "zipf", [UNKNOWN] = "unknown", [MISTYPED] = "mistyped",
	[HOT] = "hot",	 [LIMITED] = "limited",
};

static const char *const wants[JT_WORKLOADS] = {
	[ZIPF] = "VALID", [UNKNOWN] = "UNKNOWN", [MISTYPED] = "MISTYPED",
	[HOT] = "VALID",  [LIMITED] = "VALID",
};

static int reserve(struct jt_tokens *t, size_t n)
{
	t->values = malloc(n * JT_TOKEN_BYTES);
	t->n = n;
	return t->values ? 0 : -ENOMEM;
}

static int draw_zipf(const struct jt_tokens *valid, uint64_t seed,
		     struct jt_tokens *out)
{
	size_t n = valid->n > ZIPF_DRAWS_MIN ? valid->n : ZIPF_DRAWS_MIN;
	struct jt_zipf z;
	int r = reserve(out, n);

	if (r)
		return r;
	jt_zipf_init(&z, valid->n, JT_WORKLOADS_ZIPF);
	for (size_t i = 0; i < n; i++)
		memcpy(out->values[i],
		       valid->values[jt_zipf_next(&z, &seed) - 1],
		       JT_TOKEN_BYTES);
	return 0;
}

static int mistype(const struct jt_tokens *valid, struct jt_tokens *out)
{
	int r = reserve(out, valid->n);

	if (r)
		return r;
	memcpy(out->values, valid->values, valid->n * JT_TOKEN_BYTES);
	for (size_t i = 0; i < out->n; i++) {
		char *last = &out->values[i][JT_TOKEN_BYTES - 1];

		*last = *last == 'x' ? 'y' : 'x';
	}
	return 0;
}

static int repeat(const struct jt_tokens *one, struct jt_tokens *out)
{
	int r = reserve(out, JT_LOADGEN_PIPELINE_MAX);

	for (size_t i = 0; !r && i < out->n; i++)
		memcpy(out->values[i], one->values[0], JT_TOKEN_BYTES);
	return r;
}

int jt_workload_tokens(const struct jt_subjects *s, unsigned k,
		       struct jt_tokens *out)
{
	switch (k) {
	case ZIPF:
		return draw_zipf(&s->tokens, s->seed, out);
	case UNKNOWN:
		return jt_tokens_make(out, s->tokens.n);
	case MISTYPED:
		return mistype(&s->tokens, out);
	default:
		return repeat(k == HOT ? &s->hot : &s->limited, out);
	}
}

int jt_workload_make(const struct jt_subjects *s, const struct jt_subject *one,
		     unsigned k, struct jt_load *load)
{
	struct jt_tokens tokens = {0};
	int r = jt_workload_tokens(s, k, &tokens);

	*load = (struct jt_load){
		.name = jt_workload_names[k],
		.want_type = one->load.want_type,
		.want = wants[k],
		.tolerated = k == LIMITED ? "RATE_LIMITED" : NULL,
	};
	if (!r)
		r = jt_subjects_render(one, &tokens, &load->requests);
	jt_tokens_free(&tokens);
	return r;
}
