/*
 * format: layout, checksums and the chain; the argument stands in journal.c.
 *
 * The input of a record's tag is (previous tag, first 240 bytes), and in an
 * array of records the previous tag ends where the next record begins: but for
 * the first, the 256 bytes to hash are already in a row.
 */
#include "admin/format.h"

#include <sodium.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "the journal is written as it lies in memory");

static const char header_magic[8] = "jetonjnl";
static const char slot_magic[8] = "jetoncmt";
static const uint8_t header_domain[16] = "jeton header";
static const uint8_t slot_domain[2][16] = {"jeton slot 0", "jeton slot 1"};
static const uint8_t record_domain[16] = "jeton record";
static const uint8_t state_domain[16] = "jeton state";

static void hash(uint8_t out[16], const void *bytes, size_t n,
		 const uint8_t salt[16], const uint8_t domain[16])
{
	int rc = crypto_generichash_blake2b_salt_personal(
		out, 16, bytes, n, NULL, 0, salt, domain);

	assert(rc == 0);
	(void)rc;
}

bool jt_all_zero(const void *bytes, size_t n)
{
	const uint8_t *b = bytes;

	return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}

uint64_t jt_record_offset(uint64_t origin, uint64_t number)
{
	return JT_JOURNAL_DATA + JT_RECORD_BYTES * (number - origin - 1);
}

void jt_header_seal(struct jt_header_page *h)
{
	memcpy(h->magic, header_magic, sizeof(h->magic));
	h->version = JT_FORMAT_VERSION;
	h->page_bytes = JT_PAGE_BYTES;
	hash(h->checksum, h, offsetof(struct jt_header_page, checksum), NULL,
	     header_domain);
}

static bool prefix_ok(const char prefix[8])
{
	size_t n = strnlen(prefix, 8);

	for (size_t i = 0; i < n; i++)
		if (prefix[i] < 'a' || prefix[i] > 'z')
			return false;
	return n >= 2 && n <= 4 && jt_all_zero(prefix + n, 8 - n);
}

/* Generation 1 starts from nothing, every later one from a record. */
static bool base_ok(const struct jt_header_page *h)
{
	if (h->generation == 1)
		return h->base == 0 && jt_all_zero(h->base_tag, 16);
	return h->generation > 1 && h->generation <= JT_NUMBER_MAX &&
	       h->base <= JT_NUMBER_MAX;
}

/* The state is made of records up to the base, so there are no more of it. */
static bool state_ok(const struct jt_header_page *h)
{
	return h->state_records <= h->base && h->archive < h->generation &&
	       (h->state_records > 0 || jt_all_zero(h->state_tag, 16));
}

int jt_header_check(const struct jt_header_page *h, const char **whyp)
{
	uint8_t sum[16];

	*whyp = "it does not begin like a journal";
	if (memcmp(h->magic, header_magic, sizeof(h->magic)) != 0)
		return JT_JOURNAL_E_DAMAGED;
	*whyp = "its format version is not 1 or 2";
	if (h->version < JT_FORMAT_OLDEST || h->version > JT_FORMAT_VERSION)
		return JT_JOURNAL_E_VERSION;
	*whyp = "the checksum of its header is wrong";
	hash(sum, h, offsetof(struct jt_header_page, checksum), NULL,
	     header_domain);
	if (memcmp(sum, h->checksum, 16) != 0)
		return JT_JOURNAL_E_DAMAGED;
	*whyp = "its header holds impossible values";
	if (h->page_bytes != JT_PAGE_BYTES || !prefix_ok(h->prefix) ||
	    !base_ok(h) || !state_ok(h) ||
	    !jt_all_zero(h->zero, sizeof(h->zero)))
		return JT_JOURNAL_E_DAMAGED;
	return 0;
}

void jt_header_first_tag(const struct jt_header_page *h,
			 uint8_t out[JT_TAG_BYTES])
{
	memcpy(out, h->generation == 1 ? h->checksum : h->base_tag,
	       JT_TAG_BYTES);
}

void jt_slot_make(struct jt_slot_page *page, const uint8_t id[16],
		  unsigned which, const struct jt_commit *c)
{
	*page = (struct jt_slot_page){
		.number = c->number,
		.time_ns = c->time_ns,
	};
	memcpy(page->magic, slot_magic, sizeof(page->magic));
	memcpy(page->tag, c->tag, sizeof(page->tag));
	hash(page->checksum, page, offsetof(struct jt_slot_page, checksum), id,
	     slot_domain[which]);
}

bool jt_slot_check(const struct jt_slot_page *page, const uint8_t id[16],
		   unsigned which, struct jt_commit *cp)
{
	uint8_t sum[16];

	hash(sum, page, offsetof(struct jt_slot_page, checksum), id,
	     slot_domain[which]);
	if (memcmp(sum, page->checksum, 16) != 0 ||
	    memcmp(page->magic, slot_magic, sizeof(page->magic)) != 0 ||
	    !jt_all_zero(page->zero, sizeof(page->zero)) ||
	    !jt_all_zero(page->zeros, sizeof(page->zeros)) ||
	    page->number > JT_NUMBER_MAX)
		return false;
	cp->number = page->number;
	cp->time_ns = page->time_ns;
	memcpy(cp->tag, page->tag, sizeof(cp->tag));
	return true;
}

/* Text of at most MAX bytes in a field of N, zero from its end on? */
static bool text_ok(const char *text, size_t max, size_t n)
{
	size_t used = strnlen(text, max);

	return jt_all_zero(text + used, n - used);
}

static bool token_ok(const struct jt_record_token *t)
{
	return text_ok(t->id, JT_ID_BYTES, JT_ID_BYTES) &&
	       text_ok(t->name, JT_NAME_MAX, JT_NAME_MAX) &&
	       text_ok(t->owner, JT_OWNER_MAX, JT_OWNER_MAX) &&
	       t->scheme < JT_VALUE_SCHEMES && !(t->flags & ~JT_TOKEN_FLAGS);
}

static bool plan_ok(const struct jt_record_plan *p)
{
	return p->removed <= 1 && jt_all_zero(p->zero, sizeof(p->zero)) &&
	       p->quota_unit < JT_QUOTA_UNITS &&
	       text_ok(p->name, JT_PLAN_MAX, JT_PLAN_MAX) &&
	       jt_all_zero(p->zeros, sizeof(p->zeros));
}

static bool body_ok(const struct jt_record *rec)
{
	switch ((enum jt_record_type)rec->type) {
	case JT_REC_PLAN:
		return plan_ok(&rec->plan);
	case JT_REC_SCOPE:
		return jt_all_zero(rec->scope.zero, sizeof(rec->scope.zero)) &&
		       text_ok(rec->scope.name, JT_SCOPE_MAX, JT_SCOPE_MAX) &&
		       jt_all_zero(rec->scope.zeros, sizeof(rec->scope.zeros));
	case JT_REC_SCOPES:
		return jt_all_zero(rec->scopes.zero,
				   sizeof(rec->scopes.zero)) &&
		       jt_all_zero(rec->scopes.zeros,
				   sizeof(rec->scopes.zeros));
	case JT_REC_RULES:
		return text_ok(rec->rules.max_lifetime, 15, 16) &&
		       jt_all_zero(rec->rules.zeros, sizeof(rec->rules.zeros));
	case JT_REC_REASON:
		return text_ok(rec->reason, JT_REASON_MAX, JT_REASON_MAX);
	case JT_REC_NOTICE:
		return text_ok(rec->notice.id, JT_ID_BYTES, JT_ID_BYTES) &&
		       jt_all_zero(rec->notice.zeros,
				   sizeof(rec->notice.zeros));
	default:
		return token_ok(&rec->token);
	}
}

int jt_record_check(const struct jt_record *rec, const char **whyp)
{
	*whyp = "its type is unknown";
	if (rec->type < JT_REC_CREATE || rec->type > JT_REC_LAST)
		return JT_JOURNAL_E_VERSION;
	*whyp = "bytes that must be zero are not";
	if (rec->flags != 0 || rec->zero != 0 || !body_ok(rec) ||
	    !text_ok(rec->env, JT_ENV_MAX, sizeof(rec->env)))
		return JT_JOURNAL_E_DAMAGED;
	return 0;
}

/* A record behind a copy of the tag that it follows on. */
struct linked {
	uint8_t tag[JT_TAG_BYTES];
	struct jt_record record;
};

static_assert(offsetof(struct linked, record) == JT_TAG_BYTES, "hash input");

/* The tag of records[i], the first of which follows on TAG. */
static void tag_of(uint8_t out[JT_TAG_BYTES], const uint8_t *tag,
		   const struct jt_record *records, size_t i,
		   const uint8_t domain[16])
{
	const uint8_t *bytes = (const uint8_t *)records;
	struct linked first;

	if (i > 0) {
		hash(out, bytes + i * JT_RECORD_BYTES - JT_TAG_BYTES,
		     JT_RECORD_BYTES, NULL, domain);
		return;
	}
	memcpy(first.tag, tag, sizeof(first.tag));
	first.record = records[0];
	hash(out, &first, JT_RECORD_BYTES, NULL, domain);
}

static void seal(struct jt_record *records, size_t n, uint8_t tag[JT_TAG_BYTES],
		 const uint8_t domain[16])
{
	for (size_t i = 0; i < n; i++)
		tag_of(records[i].tag, tag, records, i, domain);
	if (n > 0)
		memcpy(tag, records[n - 1].tag, JT_TAG_BYTES);
}

void jt_chain_seal(struct jt_record *records, size_t n,
		   uint8_t tag[JT_TAG_BYTES])
{
	seal(records, n, tag, record_domain);
}

void jt_state_seal(struct jt_record *records, size_t n,
		   uint8_t tag[JT_TAG_BYTES])
{
	seal(records, n, tag, state_domain);
}

bool jt_chain_closed(const struct jt_reader *r)
{
	return r->part == r->parts;
}

/* Is REC the next part of the batch that R stands in, or of a new one? */
static bool batch_ok(const struct jt_reader *r, const struct jt_record *rec)
{
	if (rec->part == 0 || rec->part > rec->parts)
		return false;
	if (r->parts == 0 && r->next != r->journal->base + 1)
		return true; /* started in the middle, nothing to compare */
	if (jt_chain_closed(r))
		return rec->part == 1;
	return rec->part == r->part + 1 && rec->parts == r->parts &&
	       memcmp(rec->op, r->op, sizeof(r->op)) == 0;
}

/* State records stand in order of their numbers, with gaps. */
static bool state_order_ok(const struct jt_reader *r,
			   const struct jt_record *rec)
{
	return rec->number > r->number && rec->number <= r->journal->base &&
	       rec->part > 0 && rec->part <= rec->parts;
}

static int step(struct jt_reader *r, const struct jt_record *rec,
		const uint8_t tag[JT_TAG_BYTES], const char **whyp)
{
	bool state = jt_reader_in_state(r);
	int rc;

	*whyp = "its tag does not follow from the record before";
	if (memcmp(rec->tag, tag, JT_TAG_BYTES) != 0)
		return JT_JOURNAL_E_DAMAGED;
	*whyp = "it bears another number";
	if (state ? !state_order_ok(r, rec) : rec->number != r->next)
		return JT_JOURNAL_E_DAMAGED;
	rc = jt_record_check(rec, whyp);
	if (rc != 0)
		return rc;
	*whyp = "it is not the next part of its batch";
	if (!state && !batch_ok(r, rec))
		return JT_JOURNAL_E_DAMAGED;
	r->next++;
	r->number = rec->number;
	r->part = rec->part;
	r->parts = rec->parts;
	memcpy(r->op, rec->op, sizeof(r->op));
	memcpy(r->tag, rec->tag, sizeof(r->tag));
	return 0;
}

int jt_chain_check(struct jt_reader *r, const struct jt_record *records,
		   size_t n, const char **whyp)
{
	uint8_t first[JT_TAG_BYTES], tag[JT_TAG_BYTES];

	const uint8_t *domain =
		jt_reader_in_state(r) ? state_domain : record_domain;

	memcpy(first, r->tag, sizeof(first));
	for (size_t i = 0; i < n; i++) {
		int rc;

		tag_of(tag, first, records, i, domain);
		rc = step(r, &records[i], tag, whyp);
		if (rc != 0)
			return rc;
	}
	return 0;
}
