/*
 * leak: see leak.h.
 *
 * The text is read in pieces that overlap by one byte less than a token, so
 * that a value across two pieces is found. A value is 64 characters of our
 * shape with its checksum right; what stands around it does not matter, the
 * digest decides. Memory that held text is wiped.
 *
 * All tokens are folded first, so that only what is ours is remembered: no text
 * is so long, and so full of made-up values, that a real one is missed.
 */
#include "admin/leak.h"
#include "admin/fold.h"
#include "shm/token.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 65536u

/* What a text of our shape is to the token whose id it bears. */
enum what {
	NO_VALUE,
	OLD_VALUE, /* the one before the rotation, in its overlap */
	VALUE,
};

/* A token of ours, and which of its values were found. */
struct hit {
	char id[JT_ID_BYTES + 1];
	uint8_t digests[2][JT_DIGEST_BYTES];
	unsigned n;
};

struct leak {
	struct jt_fold fold;
	struct jt_distinct ids;	      /* of hits: number - 1 is the place */
	struct jt_distinct strangers; /* ids of ours with another secret */
	struct hit *hits;
	size_t hits_max;
	uint64_t now_s;
	size_t n_dead;			  /* values that had ended before */
	int trouble;			  /* exit code */
	const struct jt_amend_verb *verb; /* revoke, of named tokens */
};

static enum what classify(const struct jt_card *card,
			  const uint8_t digest[JT_DIGEST_BYTES], uint64_t now_s)
{
	if (memcmp(card->key, digest, JT_KEY_BYTES) == 0)
		return VALUE;
	if (now_s < card->old_until_s &&
	    memcmp(card->old_key, digest, JT_KEY_BYTES) == 0)
		return OLD_VALUE;
	return NO_VALUE;
}

static int grow(struct leak *l)
{
	size_t max = l->hits_max ? 2 * l->hits_max : 64;
	struct hit *hits = reallocarray(l->hits, max, sizeof(*hits));

	if (!hits)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	l->hits = hits;
	l->hits_max = max;
	return 0;
}

static int add_hit(struct leak *l, const struct jt_card *card,
		   const uint8_t digest[JT_DIGEST_BYTES])
{
	uint32_t had = l->ids.n, number;
	struct hit *h;

	if (jt_distinct_put(&l->ids, card->id, JT_ID_BYTES, &number) != 0 ||
	    (number > l->hits_max && grow(l) != 0))
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	h = &l->hits[number - 1];
	if (number > had) {
		memset(h, 0, sizeof(*h));
		memcpy(h->id, card->id, JT_ID_BYTES);
	}
	for (unsigned i = 0; i < h->n; i++)
		if (memcmp(h->digests[i], digest, JT_DIGEST_BYTES) == 0)
			return 0;
	if (h->n < 2)
		memcpy(h->digests[h->n++], digest, JT_DIGEST_BYTES);
	return 0;
}

static void tell_stranger(struct leak *l, const struct jt_card *card)
{
	uint32_t had = l->strangers.n, number;

	if (jt_distinct_put(&l->strangers, card->id, JT_ID_BYTES, &number) ==
		    0 &&
	    number > had)
		jt_note("%.24s is a token of ours, but this is not its value "
			"now (an old one, or made up); not revoked",
			card->id);
}

static void found(struct leak *l, const char *value)
{
	const struct jt_card *card = jt_catalog_find(&l->fold.catalog, value);
	uint8_t digest[JT_DIGEST_BYTES];
	enum what what;

	if (!card)
		return;
	jt_token_digest((const uint8_t *)value, digest);
	what = classify(card, digest, l->now_s);
	if (what == NO_VALUE)
		tell_stranger(l, card);
	else if (card->type == JT_REC_REVOKE)
		l->n_dead++;
	else
		l->trouble = add_hit(l, card, digest);
}

static void scan(struct leak *l, const char *text, size_t n)
{
	for (size_t i = 0; i + JT_TOKEN_BYTES <= n && !l->trouble; i++) {
		const uint8_t *at = (const uint8_t *)text + i;

		if (!jt_token_is_native(at, JT_TOKEN_BYTES,
					l->fold.journal.prefix) ||
		    jt_token_shape(at, JT_TOKEN_BYTES) != JT_SHAPE_NATIVE)
			continue;
		found(l, (const char *)at);
	}
}

static int read_all(struct leak *l, const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = sodium_malloc(PIECE + JT_TOKEN_BYTES);
	size_t have = 0, n;
	int e = 0;

	if (!in || !text) {
		e = jt_fail(JT_EXIT_FILE, "%s: %s", path, strerror(errno));
		goto out;
	}
	setvbuf(in, NULL, _IONBF, 0);
	while ((n = fread(text + have, 1, PIECE, in)) > 0) {
		have += n;
		scan(l, text, have);
		if (have < JT_TOKEN_BYTES)
			continue;
		memmove(text, text + have - (JT_TOKEN_BYTES - 1),
			JT_TOKEN_BYTES - 1);
		have = JT_TOKEN_BYTES - 1;
	}
	e = l->trouble;
	if (ferror(in))
		e = jt_fail(JT_EXIT_FILE, "%s: %s", path, strerror(errno));
out:
	if (text)
		sodium_free(text);
	if (in && in != stdin)
		fclose(in);
	return e;
}

/* Is that the digest of the value before F's last rotation? */
static bool is_old(const struct jt_found *f, const uint8_t *digest)
{
	if (f->look.last) /* a keeper answered */
		return memcmp(f->look.old_digest, digest, JT_DIGEST_BYTES) == 0;
	return memcmp(f->card.old_key, digest, JT_KEY_BYTES) == 0;
}

/* The worst that was found of the token F. */
static enum what worst(struct leak *l, const struct jt_found *f, uint64_t now_s)
{
	enum what most = NO_VALUE;
	const struct hit *h;
	uint32_t number;

	if (jt_distinct_put(&l->ids, f->card.id, JT_ID_BYTES, &number) != 0)
		return VALUE;
	h = &l->hits[number - 1];
	for (unsigned i = 0; i < h->n; i++) {
		if (memcmp(f->newest.token.digest, h->digests[i],
			   JT_DIGEST_BYTES) == 0)
			return VALUE;
		if (now_s < f->card.old_until_s && is_old(f, h->digests[i]))
			most = OLD_VALUE;
	}
	return most;
}

/*
 * Under the lock it is looked at again: of a token that was rotated, perhaps
 * only now, the value before may have leaked and not the new one. Then that one
 * ends, and who was given the new one goes on.
 */
static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	struct leak *l = a->own;

	switch (worst(l, f, a->now_s)) {
	case VALUE:
		return l->verb->one(a, f, r);
	case OLD_VALUE:
		r->type = JT_REC_FINISH;
		r->token.old_until_s = (uint32_t)a->now_s;
		jt_note("%.24s: the value before its rotation leaked; its "
			"overlap was ended, the new value works on",
			f->card.id);
		return 0;
	default:
		return JT_AMEND_SAME;
	}
}

static int revoke(struct leak *l, const struct jt_cmd *cmd)
{
	struct jt_amend_verb leaked = *l->verb;
	const char **ids = calloc(l->ids.n + 1, sizeof(*ids));
	struct jt_cmd of = *cmd;
	int e;

	if (!ids)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	for (uint32_t i = 0; i < l->ids.n; i++)
		ids[i] = l->hits[i].id;
	of.operands = ids;
	of.n_operands = l->ids.n;
	of.args.yes = "yes"; /* who leaks is not asked about */
	leaked.choice = 0;
	leaked.one = one;
	e = jt_amend(&of, &leaked, l);
	free(ids);
	return e;
}

int jt_leak_revoke(const struct jt_cmd *cmd, const struct jt_amend_verb *verb)
{
	struct leak l = {
		.now_s = jt_io_os.wall_ns() / 1000000000u,
		.verb = verb,
	};
	uint32_t n;
	int e;

	if (cmd->n_operands)
		return jt_fail(JT_EXIT_USAGE, "give ids or --leaked, not both");
	e = jt_fold_open(&l.fold, &cmd->paths);
	n = (uint32_t)l.fold.catalog.n_cards + 1;
	if (e == 0 && (jt_distinct_init(&l.ids, n) != 0 ||
		       jt_distinct_init(&l.strangers, n) != 0))
		e = jt_fail(JT_EXIT_FILE, "not enough memory");
	if (e == 0)
		e = read_all(&l, cmd->args.leaked);
	if (e == 0 && l.n_dead)
		jt_note("already revoked: values found %zu times", l.n_dead);
	if (e == 0 && l.ids.n == 0 && !l.n_dead)
		e = jt_fail(JT_EXIT_NO,
			    "no value of a token of ours that works stands in "
			    "there; nothing was changed");
	if (e == 0 && l.ids.n)
		e = revoke(&l, cmd);
	jt_fold_close(&l.fold);
	jt_distinct_deinit(&l.ids);
	jt_distinct_deinit(&l.strangers);
	free(l.hits);
	return e;
}
