/*
 * fuzz_journal: a valid journal, changed here and there, then checked, read and
 * replayed into a table. The seeds are two: as it was written, and compacted.
 *
 * Input: a byte of choices, then changes of 8 bytes. Choices: 1 its sums, tags
 * and slots are made right again, as somebody does who can write in the data
 * directory; else they are left, as a disk does that lies. 2 the compacted one.
 * 4 the table is too small. Whatever stands there:
 *  - it is refused with its position, or read to its end, in bounded steps;
 *  - `journal check` finds everything that reading finds;
 *  - what was left unsealed and is believed is what was written: the last tag
 * is the one that was there, and a commit is missing only with an alarm;
 *  - a token whose revoke was read is VALID for nobody, nor is one that was
 *    never created.
 */
#include "admin/compact.h"
#include "admin/format.h"
#include "sidecar/feed.h"
#include "shm/verify.h"
#include "tests/fuzz.h"

#include <errno.h>
#include <sodium.h>

#define TOKENS 12u
#define SPARE 4u /* records behind the commit */
#define IMAGE_MAX (1u << 15)
#define STEPS_MAX 64u
#define NOW_S 1800000000ull

enum choice {
	SEALED = 1,
	COMPACTED = 2,
	SMALL = 4,
};

/* A file as it was written. */
struct original {
	uint8_t bytes[IMAGE_MAX];
	size_t n;
	struct jt_commit end;
	uint64_t origin, base;
};

static struct original originals[2];
static struct jt_io io; /* the system's, but that it does not sleep */
static struct jt_fault fault;
static char values[TOKENS][JT_TOKEN_BYTES + 1];
static uint8_t image[IMAGE_MAX];
static size_t image_bytes;
static int image_fd;

/* ---- the valid ones ---- */

static void append(struct jt_record *records, size_t n)
{
	struct jt_journal j;

	assert(!jt_journal_open_write(&j, &jt_io_os, fuzz_dir, 1000, &fault));
	assert(!jt_journal_append(&j, records, n, &fault));
	jt_journal_close(&j);
}

static struct jt_record token(unsigned n, enum jt_record_type type)
{
	struct jt_record r = {.type = (uint8_t)type, .env = "live"};

	snprintf(values[n], sizeof(values[n]), "jt_live_%016u%040u", n, n);
	memcpy(r.token.id, values[n], JT_ID_BYTES);
	jt_token_digest((uint8_t *)values[n], r.token.digest);
	memcpy(r.token.name, "name", 4);
	snprintf(r.token.owner, JT_OWNER_MAX, "owner %u", n % 3);
	r.token.expires_s = NOW_S + 86400;
	r.token.plan = n % 2;
	r.token.scope_set = n % 3 == 0;
	return r;
}

static void write_all(void)
{
	struct jt_record r[3] = {
		{.type = JT_REC_PLAN,
		 .plan = {.number = 1,
			  .rate = 5,
			  .period_ns = 1000000000,
			  .burst = 9,
			  .name = "plan"}},
		{.type = JT_REC_SCOPE, .scope = {.number = 1, .name = "a:b"}},
		{.type = JT_REC_SCOPES, .scopes = {.number = 1, .bits = {1}}},
	};

	append(r, 3);
	for (unsigned i = 0; i < TOKENS; i++) {
		r[0] = token(i, JT_REC_CREATE);
		append(r, 1);
	}
	r[0] = token(1, JT_REC_ROTATE);
	memset(r[0].token.digest, 77, JT_DIGEST_BYTES);
	r[0].token.old_until_s = NOW_S + 3600;
	r[1] = token(2, JT_REC_REVOKE);
	r[2] = (struct jt_record){.type = JT_REC_REASON, .reason = "why"};
	append(r, 3);
	r[0] = token(3, JT_REC_SUSPEND);
	r[0].token.flags = JT_TOKEN_SUSPENDED;
	append(r, 1);
	r[0] = token(4, JT_REC_REVOKE);
	append(r, 1);
	r[0].type = JT_REC_PURGE;
	append(r, 1);
}

static void keep(struct original *o)
{
	struct jt_journal j;

	assert(!jt_journal_open(&j, &jt_io_os, fuzz_dir, &fault));
	o->end = j.committed;
	o->origin = j.origin;
	o->base = j.base;
	o->n = jt_record_offset(j.origin, j.committed.number + 1) +
	       SPARE * JT_RECORD_BYTES;
	assert(o->n <= sizeof(o->bytes));
	assert(pread(j.fd, o->bytes, o->n, 0) == (ssize_t)o->n);
	jt_journal_close(&j);
}

static void no_sleep(uint64_t ns)
{
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	struct jt_compacted done;
	struct jt_record r;
	char path[128];

	assert(sodium_init() >= 0);
	fuzz_make_dir();
	io = jt_io_os;
	io.sleep_ns = no_sleep;
	assert(!jt_journal_create(&jt_io_os, fuzz_dir, "jt", &fault));
	write_all();
	keep(&originals[0]);
	assert(!jt_journal_compact(&jt_io_os, fuzz_dir, &done, &fault));
	r = token(5, JT_REC_REVOKE);
	append(&r, 1);
	r = token(6, JT_REC_RENEW);
	append(&r, 1);
	keep(&originals[1]);
	fuzz_path(path, JT_JOURNAL_NAME);
	image_fd = open(path, O_RDWR | O_CLOEXEC);
	assert(image_fd >= 0);
	return 0;
}

/* ---- changes ---- */

static struct jt_header_page *header(void)
{
	return (struct jt_header_page *)image;
}

static struct jt_record *records(void)
{
	return (struct jt_record *)(image + JT_JOURNAL_DATA);
}

static size_t n_records(void)
{
	return image_bytes < JT_JOURNAL_DATA
		       ? 0
		       : (image_bytes - JT_JOURNAL_DATA) / JT_RECORD_BYTES;
}

static void change(const struct fuzz_change *c)
{
	size_t n = (originals[0].n - JT_JOURNAL_DATA) / JT_RECORD_BYTES;
	size_t where = c->where % (n + 8);

	switch (where) {
	case 0:
	case 1:
		fuzz_apply(c, image + 8, 104, 8);
		break;
	case 2:
	case 3: /* number, time and tag of a slot */
		fuzz_apply(c, image + JT_PAGE_BYTES * (where - 1) + 8, 32, 8);
		break;
	case 4:
		fuzz_apply(c, image, JT_JOURNAL_DATA, 16);
		break;
	case 5: /* a whole record over another */
		fuzz_apply(c, image + JT_JOURNAL_DATA,
			   (n - SPARE) * JT_RECORD_BYTES, JT_RECORD_BYTES);
		break;
	default:
		fuzz_apply(c,
			   (uint8_t *)&records()[where - 8 + 2 * (where < 8)],
			   JT_RECORD_BYTES, 8);
	}
	if (c->how == 255)
		image_bytes = c->value % originals[0].n + 1;
}

static void sum_header(void)
{
	static const uint8_t domain[16] = "jeton header";
	struct jt_header_page *h = header();

	crypto_generichash_blake2b_salt_personal(
		h->checksum, 16, image,
		offsetof(struct jt_header_page, checksum), NULL, 0, NULL,
		domain);
}

/* Who can write there can do all this: the chain has no key. */
static void seal(void)
{
	struct jt_header_page *h = header();
	size_t n = n_records();
	size_t state = h->state_records < n ? h->state_records : n;
	uint8_t tag[JT_TAG_BYTES];

	if (image_bytes < JT_JOURNAL_DATA)
		return;
	memcpy(tag, h->base_tag, sizeof(tag));
	jt_state_seal(records(), state, tag);
	if (state)
		memcpy(h->state_tag, tag, sizeof(tag));
	sum_header();
	jt_header_first_tag(h, tag);
	jt_chain_seal(records() + state, n - state, tag);
	for (unsigned i = 0; i < 2; i++) {
		struct jt_slot_page *page =
			(void *)(image + JT_PAGE_BYTES * (i + 1));
		struct jt_commit c = {page->number, page->time_ns, {0}};
		uint64_t at = c.number - h->base + state;

		memcpy(c.tag, page->tag, sizeof(c.tag));
		if (c.number == h->base)
			jt_header_first_tag(h, c.tag);
		else if (at >= 1 && at <= n)
			memcpy(c.tag, records()[at - 1].tag, sizeof(c.tag));
		jt_slot_make(page, h->id, i, &c);
	}
}

/* ---- what it says ---- */

struct story {
	bool created[TOKENS], revoked[TOKENS];
};

static void check_refusal(int rc)
{
	char position[40];

	/* what stands in a file is no trouble of the system */
	assert(rc > 0);
	for (const char *c = fault.line; *c; c++)
		assert(*c >= ' ' && *c != 0x7f);
	snprintf(position, sizeof(position), "at byte %llu",
		 (unsigned long long)fault.offset);
	if (rc == JT_JOURNAL_E_ARCHIVED)
		return; /* it names another file, which is not there */
	assert(strchr(fault.line, ';'));
	assert(fault.offset <= image_bytes);
	if (rc == JT_JOURNAL_E_DAMAGED && fault.offset)
		assert(strstr(fault.line, position));
	else if (rc == JT_JOURNAL_E_DAMAGED)
		/* of the header; or of an archive, which has no other */
		assert(strstr(fault.line, "at byte 0") ||
		       strstr(fault.line, "at record "));
}

static void tell(struct story *s, const struct jt_record *r)
{
	if (!jt_record_is_token(r->type))
		return;
	for (unsigned i = 0; i < TOKENS; i++) {
		if (memcmp(values[i], r->token.id, JT_ID_BYTES))
			continue;
		s->created[i] |= r->type != JT_REC_PURGE;
		s->revoked[i] |= r->type == JT_REC_REVOKE;
		if (r->type == JT_REC_CREATE)
			s->revoked[i] = false;
	}
}

/* Read all; 0 or why not. */
static int read_all(const struct jt_journal *j, struct story *s)
{
	struct jt_record chunk[3];
	struct jt_reader r;
	size_t n, all = 0;
	int rc;

	jt_reader_init(&r, j);
	do {
		rc = jt_reader_next(&r, chunk, 3, &n, &fault);
		for (size_t i = 0; i < n; i++)
			tell(s, &chunk[i]);
		all += n;
		assert(all <= n_records());
		/* the last state record is not the end */
	} while (!rc && (n || r.next <= j->committed.number));
	return rc;
}

/* Not sealed again: what is believed is what was written. */
static void check_genuine(const struct original *o, const struct jt_journal *j,
			  uint64_t number, const uint8_t *tag)
{
	const struct jt_record *r = (const void *)(o->bytes + JT_JOURNAL_DATA);

	assert(j->committed.number == o->end.number || j->adopted);
	assert(j->committed.number <= o->end.number);
	if (number > o->base)
		assert(!memcmp(tag, r[number - o->origin - 1].tag,
			       JT_TAG_BYTES));
}

/* ---- in force ---- */

static void check_tokens(const struct jt_maps *maps, const struct story *s)
{
	struct jt_tally tally = {0};
	struct jt_verdict v;

	for (unsigned i = 0; i < TOKENS; i++) {
		const struct jt_ask ask = {
			.token = {(uint8_t *)values[i], JT_TOKEN_BYTES}};

		jt_verify(maps, NULL, &ask, &v, 1,
			  (struct jt_now){NOW_S, 1000000000000ull}, &tally);
		if (v.word == JT_VALID)
			assert(s->created[i] && !s->revoked[i]);
	}
}

static void check_lines(const struct jt_ledger *l)
{
	for (uint32_t i = 0; i < l->n_lines; i++) {
		uint32_t slot = jt_places_slot(&l->places, i, JT_NEWEST);

		if (!l->lines[i].last)
			continue;
		assert(slot < l->maps->n_slots);
		assert(jt_b_meter(jt_load_relaxed(&l->maps->slots[slot].b)) ==
		       i);
	}
}

static void replay(struct jt_feed *feed, const struct original *o, bool sealed,
		   const struct story *s, int read)
{
	unsigned steps = 0;
	int rc = 0;

	fuzz_hush();
	while (jt_feed_step(feed) && steps < STEPS_MAX)
		steps++;
	if (feed->health != JT_HEALTH_LOST)
		rc = jt_feed_settle(feed);
	fuzz_unhush();
	assert(steps < STEPS_MAX);
	if (!read && feed->health == JT_HEALTH_OK)
		assert(feed->applied == feed->journal.committed.number);
	if (read)
		assert(feed->health == JT_HEALTH_LOST);
	if (feed->health == JT_HEALTH_LOST)
		assert(strstr(feed->why, "at byte ") ||
		       strstr(feed->why, "record "));
	if (!sealed)
		check_genuine(o, &feed->journal, feed->applied,
			      feed->applied_tag);
	check_lines(&feed->ledger);
	if (rc)
		return;
	jt_store_seq(&feed->maps->identity_rw->state, JT_IDENTITY_SERVING);
	check_tokens(feed->maps, s);
}

/* A table that was made once, as it was then. */
static struct jt_maps *empty_table(bool small)
{
	static struct {
		struct jt_maps maps;
		void *identity, *meters;
	} tables[2], *t;
	const struct jt_segment_size size = {
		.capacity = small ? 5 : 40, .pool_bytes = 4096, .prefix = "jt"};
	const uint8_t id[16] = "a journal's id.";
	struct jt_segment_fds fds;

	t = &tables[small];
	if (!t->identity) {
		assert(!jt_segment_create(&size, id, &fds, &t->maps));
		t->identity = malloc(t->maps.identity_bytes);
		t->meters = malloc(t->maps.meters_bytes);
		memcpy(t->identity, t->maps.identity, t->maps.identity_bytes);
		memcpy(t->meters, t->maps.meters, t->maps.meters_bytes);
	}
	memcpy(t->maps.identity_rw, t->identity, t->maps.identity_bytes);
	memcpy(t->maps.meters, t->meters, t->maps.meters_bytes);
	return &t->maps;
}

static void start(const struct jt_journal *j, const struct original *o,
		  uint8_t how, const struct story *s, int read)
{
	struct jt_feed_size need = {0};
	struct jt_feed feed;
	int rc = jt_feed_measure(j, NOW_S, &need, &fault);

	assert(!rc && need.tokens <= n_records());
	assert(!jt_feed_init(&feed, fuzz_dir, j, empty_table(how & SMALL)));
	replay(&feed, o, how & SEALED, s, read);
	jt_feed_deinit(&feed);
}

static void run(const struct original *o, uint8_t how)
{
	struct jt_journal_summary sum;
	struct story s = {0};
	struct jt_journal j;
	int check, rc;

	fault = (struct jt_fault){0};
	check = jt_journal_check(&io, fuzz_dir, NULL, &sum, &fault);
	if (check)
		check_refusal(check);
	rc = jt_journal_open(&j, &io, fuzz_dir, &fault);
	if (rc) {
		check_refusal(rc);
		assert(check);
		return;
	}
	rc = read_all(&j, &s);
	if (rc)
		check_refusal(rc);
	assert(!rc || check);
	start(&j, o, how, &s, rc); /* which closes it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct original *o;
	struct fuzz_change c;

	if (!size)
		return -1;
	o = &originals[!!(data[0] & COMPACTED)];
	memset(image, 0, sizeof(image));
	memcpy(image, o->bytes, o->n);
	image_bytes = o->n;
	for (size_t at = 1, n = 0;
	     at + sizeof(c) <= size && n < FUZZ_CHANGES_MAX;
	     at += sizeof(c), n++) {
		memcpy(&c, data + at, sizeof(c));
		change(&c);
	}
	if (data[0] & SEALED)
		seal();
	assert(!ftruncate(image_fd, (off_t)image_bytes));
	assert(pwrite(image_fd, image, image_bytes, 0) == (ssize_t)image_bytes);
	run(o, data[0]);
	return 0;
}
