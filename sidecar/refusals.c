/* refusals: see refusals.h. */
#include "sidecar/refusals.h"

#include "sidecar/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool jt_refusals_note(struct jt_refusals *r, enum jt_word word, uint64_t n,
		      uint64_t now_ns)
{
	if (word == JT_VALID || word == JT_LOADING || !n)
		return false;
	r->n += n;
	r->words[word].n += n;
	return now_ns >= r->words[word].due_ns;
}

void jt_refusals_name(struct jt_refusals *r, const struct jt_ask *ask,
		      const struct jt_verdict *verdict, uint64_t by)
{
	struct jt_refusal *w = &r->words[verdict->word];
	const uint8_t *id = verdict->id;

	/* what is UNKNOWN has our form and a right checksum */
	if (!id && verdict->word == JT_UNKNOWN &&
	    jt_token_shape(ask->token.at, ask->token.bytes) == JT_SHAPE_NATIVE)
		id = ask->token.at;
	memset(w->id, 0, sizeof(w->id));
	if (id)
		memcpy(w->id, id, JT_PUBLIC_BYTES);
	w->by = by;
	w->named = true;
}

static void tell_word(enum jt_word word, const struct jt_refusal *w)
{
	char by[40] = "", more[48] = "";

	if (!w->named) {
		jt_log(JT_LOG_INFO, "refused %s: %" PRIu64 " more",
		       jt_word_name(word), w->n);
		return;
	}
	if (w->by)
		snprintf(by, sizeof(by), " for uid %" PRIu64, w->by - 1);
	if (w->n > 1)
		snprintf(more, sizeof(more), ", and %" PRIu64 " more",
			 w->n - 1);
	jt_log(JT_LOG_INFO, "refused %s: %s%s%s", jt_word_name(word),
	       w->id[0] ? w->id : "a value without an id", by, more);
}

void jt_refusals_take(struct jt_refusals *r, const struct jt_tally *tally,
		      const struct jt_ask *asks,
		      const struct jt_verdict *verdicts, uint64_t now_ns)
{
	for (unsigned w = 0; w < JT_WORDS_N; w++) {
		uint32_t i = 0;

		if (!jt_refusals_note(r, w, tally->words[w], now_ns))
			continue;
		/* there is one: the tally counts these verdicts */
		while (verdicts[i].word != w)
			i++;
		jt_refusals_name(r, &asks[i], &verdicts[i], asks[i].by);
	}
}

void jt_refusals_tell(struct jt_refusals *r, uint64_t now_ns)
{
	for (unsigned i = 0; r->n && i < JT_WORDS_N; i++) {
		struct jt_refusal *w = &r->words[i];

		if (!w->n || now_ns < w->due_ns)
			continue;
		tell_word(i, w);
		r->n -= w->n;
		w->n = 0;
		w->named = false;
		w->due_ns = now_ns + JT_REFUSALS_NS;
	}
}
