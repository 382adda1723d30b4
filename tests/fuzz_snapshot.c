/*
 * fuzz_snapshot: a valid snapshot, changed here and there, its sums set right
 * again: what somebody writes who can write in the data directory.
 *
 * Input: a byte that chooses the table's size, then changes of 8 bytes. Either
 * the file is refused, or what was loaded is whole: every line's slots are
 * there and name the line, the records behind it are put in force, limits are
 * settled and every token is looked for.
 */
#include "sidecar/feed.h"
#include "sidecar/snapshot.h"

#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY 64u
#define TOKENS 24u
#define IMAGE_MAX (1u << 17)

int LLVMFuzzerInitialize(int *argcp, char ***argvp);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct change {
	uint8_t where, how;
	uint16_t at;
	uint32_t value;
};

static char data_dir[] = "/tmp/fuzz_snapshot.XXXXXX";
static struct jt_fault fault;
static struct jt_record tokens[TOKENS];
static uint8_t good[IMAGE_MAX], image[IMAGE_MAX];
static size_t good_bytes;
static int image_fd;

/* ---- the valid one ---- */

static void append(const struct jt_record *r)
{
	struct jt_record copy = *r;
	struct jt_journal j;

	assert(!jt_journal_open_write(&j, &jt_io_os, data_dir, 1000, &fault));
	assert(!jt_journal_append(&j, &copy, 1, &fault));
	jt_journal_close(&j);
}

static void define(void)
{
	struct jt_record r = {.type = JT_REC_PLAN,
			      .plan = {.number = 1,
				       .rate = 5,
				       .period_ns = 1000000000,
				       .burst = 9,
				       .name = "plan"}};

	append(&r);
	r = (struct jt_record){.type = JT_REC_SCOPE,
			       .scope = {.number = 1, .name = "a:b"}};
	append(&r);
	r = (struct jt_record){.type = JT_REC_SCOPES, .scopes = {.number = 1}};
	r.scopes.bits[0] = 1;
	append(&r);
}

static void issue(struct jt_record *r, unsigned n)
{
	char id[JT_ID_BYTES + 1];

	*r = (struct jt_record){.type = JT_REC_CREATE, .env = "live"};
	snprintf(id, sizeof(id), "jt_live_%016u", n);
	memcpy(r->token.id, id, JT_ID_BYTES);
	memset(r->token.digest, (int)n + 1, JT_DIGEST_BYTES);
	if (n % 5 == 4) {
		r->token.scheme = JT_VALUE_SHA256;
		jt_token_other_id("jt", "live", r->token.digest, r->token.id);
	}
	memcpy(r->token.name, "name", 4);
	snprintf(r->token.owner, JT_OWNER_MAX, "owner %u", n % 6);
	r->token.expires_s = 4000000000u;
	r->token.plan = n % 2;
	r->token.scope_set = n % 3 == 0;
	append(r);
}

static void change_one(struct jt_record *r, unsigned n)
{
	if (n % 4 == 1) {
		r->type = JT_REC_ROTATE;
		r->token.scheme = JT_VALUE_NATIVE;
		memset(r->token.digest, (int)(n + 101), JT_DIGEST_BYTES);
		r->token.old_until_s = 3900000000u;
		append(r);
	}
	if (n % 3 == 2) {
		r->type = JT_REC_REVOKE;
		append(r);
	}
	if (n % 6 == 5) {
		r->type = JT_REC_PURGE;
		append(r);
	}
}

static void take_image(void)
{
	char path[sizeof(data_dir) + 16];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", data_dir, JT_SNAPSHOT_NAME);
	image_fd = open(path, O_RDWR | O_CLOEXEC);
	n = pread(image_fd, good, sizeof(good), 0);
	assert(n > 8192 && n < (ssize_t)sizeof(good));
	good_bytes = (size_t)n;
}

static void remove_dir(void)
{
	static const char *const names[] = {JT_SNAPSHOT_NAME, JT_JOURNAL_NAME,
					    JT_JOURNAL_LOCK_NAME};
	int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(dir, names[i], 0);
	close(dir);
	rmdir(data_dir);
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	const struct jt_snapshot_want want = {.data = data_dir,
					      .capacity = CAPACITY,
					      .pool_bytes = 4096,
					      .seed = 4711};
	struct jt_snapshot_at at;

	assert(sodium_init() >= 0);
	assert(mkdtemp(data_dir));
	atexit(remove_dir);
	assert(!jt_journal_create(&jt_io_os, data_dir, "jt", &fault));
	define();
	for (unsigned i = 0; i < TOKENS; i++)
		issue(&tokens[i], i);
	for (unsigned i = 0; i < TOKENS; i++)
		change_one(&tokens[i], i);
	assert(!jt_snapshot_save(&jt_io_os, &want, &at, &fault));
	take_image();
	/* behind it */
	tokens[0].type = JT_REC_REVOKE;
	append(&tokens[0]);
	return 0;
}

/* ---- changes ---- */

static struct jt_snapshot_header *header(void)
{
	return (struct jt_snapshot_header *)image;
}

static struct jt_snapshot_block *blocks(void)
{
	return (struct jt_snapshot_block *)(image + JT_SNAPSHOT_TABLE);
}

/* Where the bytes of WHERE begin: 0 the header's numbers, 1 the table, else
 * those of a block. */
static size_t begin_of(uint8_t where, size_t *bytesp)
{
	const struct jt_snapshot_block *b = (const void *)(good + 4096);
	uint32_t n = ((const struct jt_snapshot_header *)good)->n_blocks;
	size_t at = 8192, i = where % (n + 2);

	if (i < 2) {
		*bytesp = i ? n * sizeof(*b) : 248;
		return i ? JT_SNAPSHOT_TABLE : 72;
	}
	for (size_t k = 0; k < i - 2; k++)
		at += b[k].bytes;
	*bytesp = b[i - 2].bytes;
	return at;
}

static void change(const struct change *c, size_t *bytesp)
{
	size_t n, from = begin_of(c->where, &n), width = 1u << c->how % 4;
	size_t at = from + c->at % n;
	uint64_t value = c->value;

	switch (c->how / 4 % 4) {
	case 1: /* near the end of what a number can be */
		value = ~value;
		break;
	case 2:
		value = image[at] ^ value;
		break;
	case 3: /* something else of the same kind: a slot, a line */
		width = c->how & 16 ? 64 : 48;
		at = from + c->at % n / width * width;
		from += c->value % n / width * width;
		if (at + width <= *bytesp && from + width <= *bytesp)
			memmove(image + at, image + from, width);
		return;
	default:
		break;
	}
	if (at + width <= *bytesp)
		memcpy(image + at, &value, width);
	if (c->how == 255)
		*bytesp = at;
}

static void seal(size_t bytes)
{
	struct jt_snapshot_header *h = header();
	size_t at = 8192, most = (8192 - JT_SNAPSHOT_TABLE) / 32;
	size_t n = h->n_blocks < most ? h->n_blocks : most;

	for (size_t i = 0; i < n; i++) {
		size_t len = blocks()[i].bytes;

		if (at > bytes || len > bytes - at)
			break;
		jt_snapshot_block_sum(blocks()[i].sum, image + at, len);
		at += len;
	}
	jt_snapshot_table_sum(h->table_sum, blocks(), n);
	jt_snapshot_header_sum(h->checksum, h);
}

/* ---- what was loaded ---- */

static void check_seat(const struct jt_ledger *l, uint32_t line,
		       enum jt_which which)
{
	uint32_t slot = jt_places_slot(&l->places, line, which);
	const struct jt_slot *s;

	if (slot == JT_PLACE_NONE) {
		assert(which == JT_BEFORE);
		return;
	}
	assert(slot < l->maps->n_slots);
	s = &l->maps->slots[slot];
	assert(jt_b_meter(jt_load_relaxed(&s->b)) == line);
	assert(!!(jt_a_flags(jt_load_relaxed(&s->a)) & JT_SLOT_OLD_VALUE) ==
	       (which == JT_BEFORE));
}

static void check(struct jt_feed *feed)
{
	struct jt_ledger *l = &feed->ledger;
	struct jt_expiring e;

	for (uint32_t i = 0; i < l->n_lines; i++) {
		if (!l->lines[i].last)
			continue;
		check_seat(l, i, JT_NEWEST);
		check_seat(l, i, JT_BEFORE);
	}
	while (jt_feed_step(feed))
		;
	if (jt_feed_settle(feed))
		return;
	for (unsigned i = 0; i < TOKENS; i++)
		jt_ledger_find(l, tokens[i].token.id);
	jt_ledger_tidy(l, 1000);
	jt_ledger_expiring(l, 1700000000, &e);
}

static int load(struct jt_feed *feed, const struct jt_journal *j)
{
	struct jt_commit at;
	struct jt_snapshot s;
	int rc = jt_snapshot_open(&s, &jt_io_os, j->dir_fd, j, &fault);

	if (rc)
		return rc;
	rc = jt_snapshot_load(&s, &feed->ledger, &fault);
	at.number = s.h.number;
	memcpy(at.tag, s.h.tag, sizeof(at.tag));
	jt_snapshot_close(&s);
	if (!rc)
		jt_feed_resume(feed, &at);
	return rc;
}

static void start(uint64_t capacity)
{
	const struct jt_segment_size size = {
		.capacity = capacity, .pool_bytes = 4096, .prefix = "jt"};
	struct jt_segment_fds fds;
	struct jt_maps maps;
	struct jt_feed feed;
	struct jt_journal j;

	assert(!jt_journal_open(&j, &jt_io_os, data_dir, &fault));
	assert(!jt_segment_create(&size, j.id, &fds, &maps));
	assert(!jt_feed_init(&feed, data_dir, &j, &maps));
	if (!load(&feed, &j))
		check(&feed);
	jt_feed_deinit(&feed);
	jt_segment_unmap(&maps);
	close(fds.identity);
	close(fds.meters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* as it was; others, larger and smaller */
	static const uint64_t capacities[] = {CAPACITY, CAPACITY, CAPACITY + 9,
					      40};
	size_t bytes = good_bytes;
	struct change c;

	if (!size)
		return -1;
	memcpy(image, good, good_bytes);
	for (size_t at = 1; at + sizeof(c) <= size && at < 33 * sizeof(c);
	     at += sizeof(c)) {
		memcpy(&c, data + at, sizeof(c));
		change(&c, &bytes);
	}
	seal(bytes);
	assert(!ftruncate(image_fd, (off_t)bytes));
	assert(pwrite(image_fd, image, bytes, 0) == (ssize_t)bytes);
	start(capacities[data[0] % 4]);
	return 0;
}
