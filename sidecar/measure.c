/*
 * measure: see measure.h.
 *
 * A part of the file is looked at by itself: how far its tokens rise above and
 * end beside those before it, and the owners' names that it has. Parts are
 * added up in their order. A name counts once, as far as a filter of hashes
 * remembers it: on a collision it forgets, and then more room is made than is
 * needed.
 */
#include "sidecar/measure.h"

#include "sidecar/both.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PART 2048u
#define PARTS 16u
#define OWNERS 65536u
#define SEEN 256u

struct name {
	uint64_t hash;
	uint64_t bytes;
};

struct part {
	uint64_t from; /* as a reader counts */
	size_t n;
	bool state;
	int rc;
	struct jt_fault fault;
	int64_t rise, most; /* of tokens */
	uint64_t rotated;
	size_t n_names;
	struct name names[PART];
	struct jt_record records[PART];
};

struct measure {
	const struct jt_journal *journal;
	uint64_t now_s;
	struct jt_feed_size *size;
	uint64_t tokens;
	uint64_t owners[OWNERS]; /* hashes of those already counted */
	struct part parts[PARTS];
};

static void note_owner(struct part *p, uint64_t seen[SEEN], const char *owner)
{
	uint64_t hash = XXH3_64bits(owner, JT_OWNER_MAX);

	if (seen[hash % SEEN] == hash)
		return;
	seen[hash % SEEN] = hash;
	p->names[p->n_names++] = (struct name){
		.hash = hash,
		.bytes = strnlen(owner, JT_OWNER_MAX) + 1,
	};
}

/*
 * STATE: of these any may be the first that names an owner; of the others only
 * those that give one.
 */
static bool may_name(const struct jt_record *r, bool state)
{
	return state ? jt_record_is_token(r->type)
		     : r->type == JT_REC_CREATE || r->type == JT_REC_SET;
}

static void look(void *measure, uint64_t i, unsigned who)
{
	struct measure *m = measure;
	struct part *p = &m->parts[i];
	uint64_t seen[SEEN] = {0};

	p->rise = p->most = 0;
	p->rotated = p->n_names = 0;
	p->rc = jt_journal_peek(m->journal, p->from - m->journal->origin,
				p->records, p->n, &p->fault);
	for (size_t k = 0; !p->rc && k < p->n; k++) {
		const struct jt_record *r = &p->records[k];

		p->rise += r->type == JT_REC_CREATE;
		p->rise -= r->type == JT_REC_PURGE;
		if (p->most < p->rise)
			p->most = p->rise;
		p->rotated += r->type == JT_REC_ROTATE &&
			      r->token.old_until_s > m->now_s;
		if (may_name(r, p->state))
			note_owner(p, seen, r->token.owner);
	}
}

static void add(struct measure *m, const struct part *p)
{
	struct jt_feed_size *size = m->size;
	uint64_t most = m->tokens + (uint64_t)p->most;
	int64_t end = (int64_t)m->tokens + p->rise;

	if (size->tokens < most)
		size->tokens = most;
	m->tokens = end > 0 ? (uint64_t)end : 0;
	size->rotated += p->rotated;
	for (size_t i = 0; i < p->n_names; i++) {
		const struct name *name = &p->names[i];

		if (m->owners[name->hash % OWNERS] == name->hash)
			continue;
		m->owners[name->hash % OWNERS] = name->hash;
		size->owner_bytes += name->bytes;
	}
}

/* Up to PARTS more from *FROMP on. */
static int some(struct measure *m, uint64_t *fromp, struct jt_fault *faultp)
{
	const struct jt_journal *j = m->journal;
	struct jt_both both;
	unsigned n = 0;

	while (n < PARTS && *fromp <= j->committed.number) {
		struct part *p = &m->parts[n++];
		uint64_t left;

		p->state = *fromp <= j->base;
		left = (p->state ? j->base : j->committed.number) + 1 - *fromp;
		p->from = *fromp;
		p->n = left < PART ? left : PART;
		*fromp += p->n;
	}
	jt_both_begin(&both, look, m, n);
	jt_both_end(&both);
	for (unsigned i = 0; i < n; i++) {
		if (m->parts[i].rc) {
			*faultp = m->parts[i].fault;
			return m->parts[i].rc;
		}
		add(m, &m->parts[i]);
	}
	return 0;
}

int jt_measure_from(const struct jt_journal *journal, uint64_t from,
		    uint64_t now_s, struct jt_feed_size *sizep,
		    struct jt_fault *faultp)
{
	struct measure *m = calloc(1, sizeof(*m));
	int rc = m ? 0 : -ENOMEM;

	if (m) {
		m->journal = journal;
		m->now_s = now_s;
		m->size = sizep;
		m->tokens = sizep->tokens;
	}
	while (!rc && from <= journal->committed.number)
		rc = some(m, &from, faultp);
	free(m);
	return rc;
}

int jt_feed_measure(const struct jt_journal *journal, uint64_t now_s,
		    struct jt_feed_size *sizep, struct jt_fault *faultp)
{
	memset(sizep, 0, sizeof(*sizep));
	return jt_measure_from(journal, journal->origin + 1, now_s, sizep,
			       faultp);
}
