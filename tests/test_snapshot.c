/*
 * test_snapshot: a snapshot and the records behind it are the whole journal;
 * and whatever else stands in that file is nothing.
 */
#include "sidecar/snapshot.h"

#include "admin/compact.h"
#include "admin/format.h"
#include "sidecar/clerk.h"
#include "sidecar/feed.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S 1000000000ull
#define TOKENS 60u
#define CAPACITY 256u
#define SEED 4711u

/* ---- histories ---- */

struct life {
	bool alive;
	struct jt_record newest;
};

static struct life lives[TOKENS];
static uint16_t n_plans, n_scopes, n_sets;
static bool is_named[200];
static unsigned n_imports;

static unsigned below(uint64_t *seed, unsigned n)
{
	return (unsigned)(help_random(seed) % n);
}

static void append(struct jt_record *records, size_t n)
{
	struct jt_journal j;

	cr_assert_eq(
		jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault),
		0, "%s", help_fault.line);
	cr_assert_eq(jt_journal_append(&j, records, n, &help_fault), 0, "%s",
		     help_fault.line);
	jt_journal_close(&j);
}

static struct jt_record a_plan(uint16_t n, uint64_t *seed)
{
	char name[16];

	snprintf(name, sizeof(name), "plan-%u", n);
	return help_plan_record(n, is_named[n] ? name : "",
				below(seed, 50) + 1u, 9);
}

static struct jt_record invent_definition(uint64_t *seed)
{
	unsigned what = below(seed, 4);
	char name[16];

	if (what == 0 && n_scopes < 200) {
		snprintf(name, sizeof(name), "scope:%u", n_scopes + 1);
		return help_scope_record(++n_scopes, name);
	}
	if (what == 1 && n_scopes)
		return help_set_record(++n_sets, 1, below(seed, n_scopes) + 1);
	for (uint16_t i = 1; what == 2 && i <= n_plans; i++)
		if (is_named[i])
			return a_plan(i, seed);
	is_named[++n_plans] = below(seed, 2);
	return a_plan(n_plans, seed);
}

static void invent_fields(struct jt_record *r, uint64_t *seed)
{
	memset(r->token.owner, 0, JT_OWNER_MAX);
	if (below(seed, 4))
		snprintf(r->token.owner, JT_OWNER_MAX, "owner %u",
			 below(seed, 12));
	r->token.plan = (uint16_t)below(seed, n_plans + 1u);
	r->token.own = (uint16_t)below(seed, n_plans + 1u);
	r->token.scope_set = (uint16_t)below(seed, n_sets + 1u);
}

static void invent_token(struct life *life, uint64_t *seed)
{
	struct help_token token;
	char value[32];

	help_token_make(&token, below(seed, 3) ? "live" : "test");
	life->newest = help_create(&token);
	if (below(seed, 4) == 0) {
		snprintf(value, sizeof(value), "ghp_%020u", ++n_imports);
		life->newest = help_import(value, JT_VALUE_SHA256);
	}
	invent_fields(&life->newest, seed);
	life->alive = true;
}

static void invent_change(struct life *life, uint64_t *seed)
{
	struct jt_record *r = &life->newest;
	struct help_token token;

	if (r->type == JT_REC_REVOKE) {
		r->type = JT_REC_PURGE;
		life->alive = false;
		return;
	}
	switch (below(seed, 7)) {
	case 0:
	case 1:
		help_rotate(r, &token, HELP_NOW_S - 100 + below(seed, 200));
		break;
	case 2:
		r->type = JT_REC_SET;
		invent_fields(r, seed);
		break;
	case 3:
		r->token.flags ^= JT_TOKEN_SUSPENDED;
		r->type = r->token.flags ? JT_REC_SUSPEND : JT_REC_RESUME;
		break;
	case 4:
		r->type = JT_REC_FINISH;
		r->token.old_until_s = (uint32_t)HELP_NOW_S;
		break;
	case 5:
		r->type = JT_REC_RENEW;
		r->token.expires_s = HELP_LATER_S + below(seed, 1000);
		break;
	default:
		r->type = JT_REC_REVOKE;
		break;
	}
}

static void tell(unsigned commits, uint64_t *seed)
{
	while (commits--) {
		struct jt_record batch[5];
		size_t n = 0;

		while (n < 1 + below(seed, 4)) {
			struct life *life = &lives[below(seed, TOKENS)];

			if (below(seed, 12) == 0 && n_plans < 190) {
				batch[n++] = invent_definition(seed);
				continue;
			}
			if (life->alive)
				invent_change(life, seed);
			else
				invent_token(life, seed);
			batch[n++] = life->newest;
		}
		append(batch, n);
	}
}

static void begin(void)
{
	help_quiet();
	help_wall_ns = HELP_NOW_S * S;
	help_journal_new(0);
}

TestSuite(snapshot, .init = begin);

static bool keep_all(unsigned i)
{
	return true;
}

/* ---- worlds ---- */

struct world {
	struct help_table t;
	struct jt_feed feed;
};

static struct jt_journal open_journal(void)
{
	struct jt_journal j;

	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &help_fault), 0,
		     "%s", help_fault.line);
	return j;
}

static void new_world(struct world *w, uint64_t capacity)
{
	struct jt_journal j = open_journal();

	help_table_new(&w->t, capacity);
	w->t.maps.identity_rw->seed = SEED;
	jt_store_seq(&w->t.maps.identity_rw->state, JT_IDENTITY_LOADING);
	cr_assert_eq(jt_feed_init(&w->feed, HELP_DIR, &j, &w->t.maps), 0);
}

static void go_on(struct world *w)
{
	unsigned n = 0;

	while (jt_feed_step(&w->feed))
		cr_assert_lt(++n, 1000);
	cr_assert_eq(w->feed.health, JT_HEALTH_OK, "%s", w->feed.why);
}

static int try_open(struct jt_snapshot *s)
{
	struct jt_journal j = open_journal();
	int rc = jt_snapshot_open(s, &help_io, j.dir_fd, &j, &help_fault);

	jt_journal_close(&j);
	return rc;
}

/* Open and load; 0 and W holds it. */
static int try_load(struct world *w, uint64_t capacity)
{
	struct jt_journal j = open_journal();
	struct jt_snapshot s;
	struct jt_commit at;
	int rc;

	new_world(w, capacity);
	rc = jt_snapshot_open(&s, &help_io, j.dir_fd, &j, &help_fault);
	if (!rc)
		rc = jt_snapshot_load(&s, &w->feed.ledger, &help_fault);
	if (!rc) {
		at.number = s.h.number;
		memcpy(at.tag, s.h.tag, sizeof(at.tag));
		jt_feed_resume(&w->feed, &at);
	}
	jt_snapshot_close(&s);
	jt_journal_close(&j);
	return rc;
}

static int try_save(struct jt_snapshot_at *atp)
{
	const struct jt_snapshot_want want = {
		.data = HELP_DIR,
		.capacity = CAPACITY,
		.pool_bytes = 65536,
		.seed = SEED,
	};

	return jt_snapshot_save(&help_io, &want, atp, &help_fault);
}

static uint64_t save(void)
{
	struct jt_snapshot_at at;

	cr_assert_eq(try_save(&at), 0, "%s", help_fault.line);
	return at.number;
}

static int recheck(void)
{
	struct jt_journal j = open_journal();
	struct jt_snapshot s;
	int rc;

	cr_assert_eq(jt_snapshot_open(&s, &help_io, j.dir_fd, &j, &help_fault),
		     0, "%s", help_fault.line);
	jt_journal_close(&j);
	rc = jt_snapshot_recheck(&help_io, HELP_DIR, &s.h, s.blocks, false,
				 &help_fault);
	jt_snapshot_close(&s);
	return rc;
}

/* ---- what can be seen ---- */

static void same_value(const struct world *a, const struct world *b,
		       uint32_t slot_a, uint32_t slot_b)
{
	struct jt_view v, w;
	uint32_t n, m;
	const uint8_t *p, *q;

	cr_assert_eq(slot_a == JT_LINE_NONE, slot_b == JT_LINE_NONE);
	if (slot_a == JT_LINE_NONE)
		return;
	cr_assert(jt_table_look(&a->t.maps, slot_a, &v));
	cr_assert(jt_table_look(&b->t.maps, slot_b, &w));
	cr_assert_arr_eq(v.digest, w.digest, sizeof(v.digest));
	cr_assert_eq(jt_a_state(v.a), jt_a_state(w.a));
	cr_assert_eq(jt_a_flags(v.a), jt_a_flags(w.a));
	cr_assert_eq(jt_a_expires_s(v.a), jt_a_expires_s(w.a));
	cr_assert_eq(jt_b_scope_set(v.b), jt_b_scope_set(w.b));
	cr_assert_eq(v.scheme, w.scheme);
	cr_assert_eq(a->t.maps.identity->envs[v.env],
		     b->t.maps.identity->envs[w.env]);
	p = jt_table_owner(&a->t.maps, v.owner, &n);
	q = jt_table_owner(&b->t.maps, w.owner, &m);
	cr_assert_eq(n, m);
	cr_assert(!n || memcmp(p, q, n) == 0);
}

static void same_token(const struct world *a, const struct world *b,
		       const char *id)
{
	uint32_t i = jt_ledger_find(&a->feed.ledger, id);
	uint32_t k = jt_ledger_find(&b->feed.ledger, id);
	const struct jt_bounds *x, *y;
	struct jt_look u, v;

	cr_assert_eq(i == JT_LINE_NONE, k == JT_LINE_NONE);
	if (i == JT_LINE_NONE)
		return;
	cr_assert(jt_ledger_look(&a->feed.ledger, id, &u));
	cr_assert(jt_ledger_look(&b->feed.ledger, id, &v));
	cr_assert_arr_eq(&u, &v, sizeof(u));
	same_value(a, b, jt_places_slot(&a->feed.ledger.places, i, JT_NEWEST),
		   jt_places_slot(&b->feed.ledger.places, k, JT_NEWEST));
	same_value(a, b, jt_places_slot(&a->feed.ledger.places, i, JT_BEFORE),
		   jt_places_slot(&b->feed.ledger.places, k, JT_BEFORE));
	x = jt_plans_bounds(&a->feed.ledger.plans, a->feed.ledger.lines[i].plan,
			    a->feed.ledger.lines[i].own);
	y = jt_plans_bounds(&b->feed.ledger.plans, b->feed.ledger.lines[k].plan,
			    b->feed.ledger.lines[k].own);
	cr_assert_eq(!x, !y);
	cr_assert(!x || memcmp(x, y, sizeof(*x)) == 0);
}

static void same_room(const struct world *a, const struct world *b)
{
	for (uint64_t n = 0; n < CAPACITY; n++) {
		const struct jt_room rooms[] = {
			{.tokens = n}, {.values = n}, {.plans = n}};

		for (unsigned i = 0; i < 3; i++)
			cr_assert_eq(jt_ledger_fits(&a->feed.ledger, &rooms[i],
						    &help_fault),
				     jt_ledger_fits(&b->feed.ledger, &rooms[i],
						    &help_fault));
	}
}

static void same_figures(const struct world *a, const struct world *b)
{
	struct jt_expiring e, f;
	uint64_t x, y;

	jt_ledger_expiring(&a->feed.ledger, HELP_NOW_S, &e);
	jt_ledger_expiring(&b->feed.ledger, HELP_NOW_S, &f);
	cr_assert_arr_eq(&e, &f, sizeof(e));
	for (uint16_t p = 0; p <= n_plans; p++) {
		cr_assert_eq(jt_ledger_users(&a->feed.ledger, p, &x),
			     jt_ledger_users(&b->feed.ledger, p, &y));
		cr_assert_eq(x, y);
	}
	cr_assert_eq(a->feed.ledger.n_past, b->feed.ledger.n_past);
}

static void same_worlds(struct world *a, struct world *b, bool same_bytes)
{
	cr_assert_eq(a->feed.applied, b->feed.applied);
	cr_assert_eq(jt_feed_settle(&a->feed), 0);
	cr_assert_eq(jt_feed_settle(&b->feed), 0);
	for (unsigned i = 0; i < TOKENS; i++)
		if (lives[i].newest.type)
			same_token(a, b, lives[i].newest.token.id);
	same_figures(a, b);
	if (!same_bytes)
		return;
	same_room(a, b);
	cr_assert(!memcmp(a->t.maps.identity, b->t.maps.identity,
			  a->t.maps.identity_bytes));
	cr_assert_arr_eq(a->feed.ledger.lines, b->feed.ledger.lines,
			 a->feed.ledger.n_lines * sizeof(struct jt_line));
	cr_assert_arr_eq(a->feed.ledger.past, b->feed.ledger.past,
			 JT_LEDGER_PAST * sizeof(struct jt_past));
}

static void drop_world(struct world *w)
{
	jt_feed_deinit(&w->feed);
	jt_segment_unmap(&w->t.maps);
	jt_segment_unmap(&w->t.reader);
	close(w->t.fds.identity);
	close(w->t.fds.meters);
}

/* ---- equal to a replay ---- */

static void one_history(uint64_t seed)
{
	struct world whole, quick, wide;
	struct jt_compacted done;

	memset(lives, 0, sizeof(lives));
	n_plans = n_scopes = n_sets = 0;
	n_imports = 0;
	help_journal_new(0);
	tell(below(&seed, 120), &seed);
	if (below(&seed, 2))
		cr_assert_eq(jt_journal_compact(&help_io, HELP_DIR, &done,
						&help_fault),
			     0, "%s", help_fault.line);
	tell(below(&seed, 60), &seed);
	save();
	tell(below(&seed, 60), &seed);
	new_world(&whole, CAPACITY);
	go_on(&whole);
	cr_assert_eq(try_load(&quick, CAPACITY), 0, "%s", help_fault.line);
	go_on(&quick);
	cr_assert_eq(try_load(&wide, CAPACITY + 55), 0, "%s", help_fault.line);
	go_on(&wide);
	cr_assert_eq(recheck(), 0, "%s", help_fault.line);
	same_worlds(&whole, &quick, true);
	same_worlds(&whole, &wide, false);
	drop_world(&whole);
	drop_world(&quick);
	drop_world(&wide);
}

Test(snapshot, and_the_records_behind_it_are_the_whole_replay, .timeout = 120)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		one_history(seed);
}

/* The same, at every record of one history. */
Test(snapshot, at_any_record_it_is_the_whole_replay, .timeout = 120)
{
	uint64_t seed = 99;

	for (unsigned i = 0; i < 40; i++) {
		struct world whole, quick;

		save();
		tell(1, &seed);
		new_world(&whole, CAPACITY);
		go_on(&whole);
		cr_assert_eq(try_load(&quick, CAPACITY), 0, "%s",
			     help_fault.line);
		go_on(&quick);
		same_worlds(&whole, &quick, true);
		drop_world(&whole);
		drop_world(&quick);
		help_io_kill();
		help_io_power_cut(keep_all); /* takes back old files */
	}
}

Test(snapshot, of_the_same_records_has_the_same_bytes)
{
	static uint8_t bytes[2][1 << 20];
	uint64_t seed = 7;

	tell(100, &seed);
	for (unsigned i = 0; i < 2; i++) {
		int fd, dir = jt_io_open(&help_io, AT_FDCWD, HELP_DIR, O_RDONLY,
					 0);

		save();
		fd = jt_io_open(&help_io, dir, JT_SNAPSHOT_NAME,
				O_RDONLY | O_NOFOLLOW, 0);
		cr_assert_gt(help_io.pread(fd, bytes[i], sizeof(bytes[i]), 0),
			     8192);
	}
	cr_expect_arr_eq(bytes[0], bytes[1], sizeof(bytes[0]));
}

/* ---- what does not belong to the journal ---- */

static void expect_refused(const char *why)
{
	struct jt_snapshot s;

	cr_assert_eq(try_open(&s), JT_SNAPSHOT_E_UNFIT, "%s", help_fault.line);
	cr_assert_str_eq(help_fault.line, why);
}

Test(snapshot, none_is_no_damage)
{
	struct jt_snapshot s;

	cr_expect_eq(try_open(&s), JT_SNAPSHOT_E_NONE);
}

Test(snapshot, of_the_file_before_a_compaction_is_ignored)
{
	struct jt_compacted done;
	uint64_t seed = 4;

	tell(30, &seed);
	save();
	cr_assert_eq(jt_journal_compact(&help_io, HELP_DIR, &done, &help_fault),
		     0);
	expect_refused("the journal's file is another one since");
}

Test(snapshot, of_another_journal_is_ignored)
{
	uint64_t seed = 5;

	tell(10, &seed);
	save();
	cr_assert_eq(jt_io_unlink(&help_io,
				  jt_io_open(&help_io, AT_FDCWD, HELP_DIR,
					     O_RDONLY, 0),
				  JT_JOURNAL_NAME),
		     0);
	cr_assert_eq(jt_journal_create(&help_io, HELP_DIR, "jt", &help_fault),
		     0, "%s", help_fault.line);
	expect_refused("it is of another journal");
}

/* ---- damage ---- */

static uint8_t *image;
static uint64_t image_bytes;
static int image_fd;

static void open_image(void)
{
	int dir = jt_io_open(&help_io, AT_FDCWD, HELP_DIR, O_RDONLY, 0);

	image_fd = jt_io_open(&help_io, dir, JT_SNAPSHOT_NAME,
			      O_RDWR | O_NOFOLLOW, 0);
	cr_assert_geq(image_fd, 0);
}

static void take_image(void)
{
	struct stat st;

	open_image();
	cr_assert_eq(help_io.fstat(image_fd, &st), 0);
	image_bytes = (uint64_t)st.st_size;
	image = malloc(image_bytes);
	cr_assert_eq(jt_io_read_at(&help_io, image_fd, image, image_bytes, 0),
		     0);
}

static void put_image(uint64_t at, size_t n)
{
	cr_assert_eq(jt_io_write_at(&help_io, image_fd, image + at, n, at), 0);
}

static struct jt_snapshot_header *header(void)
{
	return (struct jt_snapshot_header *)image;
}

static struct jt_snapshot_block *blocks(void)
{
	return (struct jt_snapshot_block *)(image + JT_SNAPSHOT_TABLE);
}

/* The journal of before, the snapshot of now. */
Test(snapshot, newer_than_the_journal_is_ignored)
{
	static struct disk before;
	uint64_t seed = 3;

	tell(20, &seed);
	disk_copy(&before, &help_disk);
	tell(20, &seed);
	save();
	take_image();
	disk_copy(&help_disk, &before);
	help_io_kill();
	disk_make(&help_disk, JT_SNAPSHOT_NAME, S_IFREG | 0600, 0);
	open_image();
	put_image(0, image_bytes);
	expect_refused("it is newer than the journal");
	/* other records come to the same number */
	tell(40, &seed);
	expect_refused("its last record is not the journal's");
}

/* Where blocks begin; between table and them are zeros that nobody reads. */
static uint64_t data_at(void)
{
	return (JT_SNAPSHOT_TABLE +
		header()->n_blocks * sizeof(struct jt_snapshot_block) + 4095) /
	       4096 * 4096;
}

static bool is_read(uint64_t at)
{
	return at >= data_at() ||
	       at < JT_SNAPSHOT_TABLE +
			       header()->n_blocks *
				       sizeof(struct jt_snapshot_block);
}

Test(snapshot, every_flipped_byte_is_noticed, .timeout = 300)
{
	uint64_t seed = 6;

	tell(40, &seed);
	save();
	take_image();
	for (uint64_t at = 0; at < image_bytes;
	     at += at < 400 || at > data_at() - 200 ? 7 : 41) {
		struct world w;

		if (!is_read(at))
			continue;
		image[at] ^= 0x20;
		put_image(at, 1);
		cr_assert_neq(try_load(&w, CAPACITY), 0, "byte %llu",
			      (unsigned long long)at);
		drop_world(&w);
		image[at] ^= 0x20;
		put_image(at, 1);
	}
}

Test(snapshot, every_cut_is_noticed, .timeout = 120)
{
	uint64_t seed = 6;

	tell(40, &seed);
	save();
	take_image();
	for (uint64_t n = 0; n < image_bytes; n += 97) {
		struct jt_snapshot s;

		cr_assert_eq(help_io.ftruncate(image_fd, (off_t)n), 0);
		cr_assert_eq(try_open(&s), JT_SNAPSHOT_E_DAMAGED, "at %llu",
			     (unsigned long long)n);
		put_image(0, image_bytes);
	}
}

/* The sums say what the bytes say: a hostile writer's file. */
static void seal_image(void)
{
	uint64_t at = data_at();

	for (uint32_t i = 0; i < header()->n_blocks; i++) {
		if (at + blocks()[i].bytes > image_bytes)
			break;
		jt_snapshot_block_sum(blocks()[i].sum, image + at,
				      blocks()[i].bytes);
		at += blocks()[i].bytes;
	}
	jt_snapshot_table_sum(header()->table_sum, blocks(),
			      header()->n_blocks);
	jt_snapshot_header_sum(header()->checksum, header());
	put_image(0, image_bytes);
}

/* Whatever it says, nothing is read or written out of bounds (ASan looks). */
Test(snapshot, hostile_numbers_do_no_harm, .timeout = 300)
{
	static uint8_t good[1 << 20];
	uint64_t seed = 8, loaded = 0;

	tell(60, &seed);
	save();
	take_image();
	cr_assert_lt(image_bytes, sizeof(good));
	memcpy(good, image, image_bytes);
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t from = i % 3 ? data_at() : 72;
		uint64_t to = i % 3 ? image_bytes : 320;
		uint64_t at = from + help_random(&seed) % (to - from);
		struct world w;

		image[at] = (uint8_t)help_random(&seed);
		if (i & 1)
			memset(image + at, 0xff,
			       image_bytes - at < 4 ? image_bytes - at : 4);
		if (header()->n_blocks ==
		    ((struct jt_snapshot_header *)good)->n_blocks)
			seal_image();
		if (try_load(&w, i & 4 ? CAPACITY : CAPACITY + 9) == 0) {
			/* a digest, a name: the records behind it still work */
			loaded++;
			jt_feed_step(&w.feed);
			jt_feed_settle(&w.feed);
			for (unsigned k = 0; k < TOKENS; k++)
				jt_ledger_find(&w.feed.ledger,
					       lives[k].newest.token.id);
		}
		drop_world(&w);
		memcpy(image, good, image_bytes);
	}
	cr_expect_gt(loaded, 100);
}

static uint64_t offset_of(uint32_t kind)
{
	uint64_t at = data_at();

	for (uint32_t i = 0; blocks()[i].kind != kind; i++)
		at += blocks()[i].bytes;
	return at;
}

/* One line, one value, in a journal of one token. */
static struct jt_snapshot_line *one_line(void)
{
	struct jt_record r = {0};
	struct help_token token;

	help_token_make(&token, "live");
	r = help_create(&token);
	append(&r, 1);
	save();
	take_image();
	return (struct jt_snapshot_line *)(image +
					   offset_of(JT_SNAPSHOT_LINES));
}

static void expect_bad_token(void)
{
	struct world w;

	seal_image();
	cr_expect_eq(try_load(&w, CAPACITY), JT_SNAPSHOT_E_DAMAGED);
	drop_world(&w);
}

Test(snapshot, a_line_that_names_no_slot_of_its_own_is_refused)
{
	struct jt_snapshot_line *line = one_line(), good = *line;

	line->slot++;
	expect_bad_token();
	line->slot = UINT32_MAX;
	expect_bad_token();
	*line = good;
	line->old_slot = line->slot;
	expect_bad_token();
	*line = good;
	line->plan = 1;
	expect_bad_token();
	*line = good;
	line->set = 1;
	expect_bad_token();
	*line = good;
	line->state = JT_SLOT_REVOKED;
	expect_bad_token();
	*line = good;
	line->last = header()->number + 1;
	expect_bad_token();
	*line = good;
	line->zeros[2] = 1;
	expect_bad_token();
}

static struct jt_snapshot_slot *slots(void)
{
	return (struct jt_snapshot_slot *)(image +
					   offset_of(JT_SNAPSHOT_SLOTS) +
					   jt_snapshot_fixed(
						   JT_SNAPSHOT_SLOTS,
						   jt_segment_slots(CAPACITY)));
}

static struct jt_record new_token(void)
{
	struct help_token token;

	help_token_make(&token, "live");
	return help_create(&token);
}

/* Two tokens, a record each; PARTS of one batch, or a commit each. */
static void two_tokens(bool together)
{
	struct jt_record r[2] = {new_token(), new_token()};

	help_journal_new(0);
	if (!together)
		append(r, 1);
	append(r + !together, 1 + together);
	save();
	take_image();
}

static uint32_t seat_in_wide(uint32_t line, uint64_t capacity)
{
	struct world w;
	uint32_t slot;

	cr_assert_eq(try_load(&w, capacity), 0, "%s", help_fault.line);
	slot = jt_places_slot(&w.feed.ledger.places, line, JT_NEWEST);
	drop_world(&w);
	return slot;
}

/*
 * In a table of another size the first value comes to where, in the file, there
 * stands a second one of the same line, and none of the other's.
 */
Test(snapshot, a_second_value_where_the_first_has_come_to_is_refused)
{
	const uint64_t wide = CAPACITY + 55, n = jt_segment_slots(CAPACITY);
	struct jt_snapshot_line *lines;
	struct jt_snapshot_slot *of;
	uint32_t first, came, tries = 0;
	struct world w;
	uint8_t *bits;

	do {
		cr_assert_lt(++tries, 100);
		two_tokens(false);
		lines = (void *)(image + offset_of(JT_SNAPSHOT_LINES));
		of = slots();
		first = lines[jt_b_meter(of->b)].slot;
		came = seat_in_wide(jt_b_meter(of->b), wide);
	} while ((uint8_t *)(of + 2) != image + image_bytes || came <= first ||
		 came >= n);
	bits = image + offset_of(JT_SNAPSHOT_SLOTS);
	memset(bits, 0, jt_snapshot_fixed(JT_SNAPSHOT_SLOTS, n));
	bits[first / 8] |= (uint8_t)(1u << first % 8);
	bits[came / 8] |= (uint8_t)(1u << came % 8);
	of[1] = of[0];
	seal_image();
	cr_expect_eq(try_load(&w, wide), JT_SNAPSHOT_E_DAMAGED);
	drop_world(&w);
}

static void expect_bad_header(const char *why)
{
	struct jt_snapshot s;

	seal_image();
	cr_expect_eq(try_open(&s), JT_SNAPSHOT_E_DAMAGED);
	cr_expect_str_eq(help_fault.line, why);
}

Test(snapshot, fewer_values_than_tokens_or_more_than_two_each_are_refused)
{
	two_tokens(false);
	header()->values = 1;
	expect_bad_header("its header holds impossible values");
	header()->values = 5;
	expect_bad_header("its header holds impossible values");
}

/* The reader behind it would take the rest of the batch for damage. */
Test(snapshot, that_ends_within_a_batch_is_refused)
{
	struct jt_journal j;
	struct jt_record r;

	two_tokens(true);
	j = open_journal();
	cr_assert_eq(jt_journal_read(&j, 1, &r, 1, &help_fault), 0);
	jt_journal_close(&j);
	cr_assert_eq(r.parts, 2);
	header()->number = 1;
	memcpy(header()->tag, r.tag, JT_TAG_BYTES);
	expect_bad_header("it ends within a batch");
}

static struct jt_snapshot_slot *old_value(void)
{
	struct jt_snapshot_slot *s = slots();

	while (!(jt_a_flags(s->a) & JT_SLOT_OLD_VALUE))
		s++;
	return s;
}

Test(snapshot, that_revives_the_value_before_alone_is_refused)
{
	struct jt_record r = new_token();
	struct help_token newer;
	struct jt_snapshot_slot *old;
	uint64_t good;

	append(&r, 1);
	help_rotate(&r, &newer, HELP_NOW_S + 100);
	append(&r, 1);
	save();
	take_image();
	old = old_value();
	good = old->a;
	cr_assert_eq(jt_a_expires_s(good), HELP_NOW_S + 100);
	old->a = jt_word_a(jt_a_generation(good), JT_SLOT_ACTIVE,
			   JT_SLOT_OLD_VALUE, HELP_LATER_S);
	expect_bad_token();
	r.type = JT_REC_REVOKE;
	append(&r, 1);
	save();
	take_image();
	old = old_value();
	old->a = good;
	expect_bad_token();
}

/* ---- held against the journal ---- */

/* What a start was made from, then WHAT happens to the journal. */
static int recheck_after(void (*what)(void))
{
	struct jt_journal j = open_journal();
	struct jt_snapshot s;
	int rc;

	cr_assert_eq(jt_snapshot_open(&s, &help_io, j.dir_fd, &j, &help_fault),
		     0, "%s", help_fault.line);
	jt_journal_close(&j);
	help_io.close(s.fd);
	s.fd = -1;
	what();
	rc = jt_snapshot_recheck(&help_io, HELP_DIR, &s.h, s.blocks, false,
				 &help_fault);
	jt_snapshot_close(&s);
	return rc;
}

static void compact(void)
{
	struct jt_compacted done;

	cr_assert_eq(jt_journal_compact(&help_io, HELP_DIR, &done, &help_fault),
		     0);
}

/* So nobody says that the snapshot was compared. */
Test(snapshot, check_after_a_compaction_cannot_be_made)
{
	two_tokens(false);
	cr_expect_eq(recheck_after(compact), JT_SNAPSHOT_E_UNFIT);
}

static void other_journal(void)
{
	help_journal_new(3);
}

/* It is to be tried again when the right one is back. */
Test(snapshot, check_of_another_journal_in_that_place_says_nothing)
{
	two_tokens(false);
	cr_expect_eq(recheck_after(other_journal), -ESTALE);
	cr_expect_str_eq(help_fault.line,
			 "the journal was replaced by another one or an older "
			 "copy");
}

Test(snapshot, that_revives_a_token_is_told_by_the_check)
{
	struct jt_snapshot_line *line = one_line();
	struct jt_snapshot_slot *slot = NULL;
	uint64_t at = offset_of(JT_SNAPSHOT_SLOTS) +
		      jt_snapshot_fixed(JT_SNAPSHOT_SLOTS,
					jt_segment_slots(CAPACITY));
	struct world w;

	cr_expect_eq(recheck(), 0, "%s", help_fault.line);
	for (; at < image_bytes; at += sizeof(*slot)) {
		slot = (struct jt_snapshot_slot *)(image + at);
		if (jt_a_state(slot->a) == JT_SLOT_ACTIVE)
			break;
	}
	slot->a = jt_word_a(jt_a_generation(slot->a), JT_SLOT_ACTIVE, 0,
			    UINT32_MAX);
	line->expires_s = UINT32_MAX;
	seal_image();
	/* nothing in the file itself tells it */
	cr_expect_eq(try_load(&w, CAPACITY), 0, "%s", help_fault.line);
	cr_expect_eq(recheck(), JT_SNAPSHOT_E_DIFFERS);
	cr_expect_eq(help_fault.number, 1);
}

Test(snapshot, damage_in_front_of_it_is_told_as_journal_check_tells_it)
{
	int dir = jt_io_open(&help_io, AT_FDCWD, HELP_DIR, O_RDONLY, 0), fd;
	uint64_t seed = 11, at = JT_JOURNAL_DATA + 7 * 256 + 90;
	struct jt_fault check;
	uint8_t byte;

	tell(40, &seed);
	save();
	tell(10, &seed);
	fd = jt_io_open(&help_io, dir, JT_JOURNAL_NAME, O_RDWR | O_NOFOLLOW, 0);
	cr_assert_eq(jt_io_read_at(&help_io, fd, &byte, 1, at), 0);
	byte ^= 1;
	cr_assert_eq(jt_io_write_at(&help_io, fd, &byte, 1, at), 0);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	check = help_fault;
	cr_expect_eq(recheck(), JT_SNAPSHOT_E_JOURNAL);
	cr_expect_eq(help_fault.number, 8);
	cr_expect_eq(help_fault.offset, check.offset);
	cr_expect_str_eq(help_fault.line, check.line);
}

/* ---- crashes ---- */

/* Old or new, and what is there loads; a stale temporary file is no trouble. */
static void expect_some(uint64_t old, uint64_t new)
{
	struct jt_snapshot s;
	struct world w;

	cr_assert_eq(try_open(&s), 0, "%s", help_fault.line);
	cr_assert(s.h.number == old || s.h.number == new);
	cr_assert_eq(try_load(&w, CAPACITY), 0, "%s", help_fault.line);
	go_on(&w);
	drop_world(&w);
}

static bool keep_none(unsigned i)
{
	return false;
}

static uint64_t cut_seed = 21;
static bool keep_some(unsigned i)
{
	return help_random(&cut_seed) & 1;
}

Test(snapshot, a_crash_at_any_call_leaves_the_old_or_the_new, .timeout = 300)
{
	static const disk_keep keeps[] = {NULL, keep_none, keep_all, keep_some,
					  keep_some};
	static struct disk before, stopped;
	uint64_t seed = 12, old, new;
	bool done = false;

	tell(30, &seed);
	old = save();
	tell(10, &seed);
	disk_copy(&before, &help_disk);
	new = save();
	for (unsigned k = 1; !done; k++) {
		struct jt_snapshot_at at;

		cr_assert_lt(k, 1000);
		disk_copy(&help_disk, &before);
		help_io_kill();
		help_io_plan((struct help_plan){
			.fail_at = k, .forever = true, .error = EIO});
		done = try_save(&at) == 0;
		help_io_plan((struct help_plan){0});
		disk_copy(&stopped, &help_disk);
		for (unsigned i = 0; i < sizeof(keeps) / sizeof(keeps[0]);
		     i++) {
			disk_copy(&help_disk, &stopped);
			help_io_kill();
			if (keeps[i])
				help_io_power_cut(keeps[i]);
			expect_some(old, new);
			cr_assert_eq(save(), new);
		}
	}
}

Test(snapshot, a_failed_flush_publishes_nothing)
{
	struct jt_snapshot_at at;
	struct jt_snapshot s;
	uint64_t seed = 13;

	tell(30, &seed);
	for (unsigned k = 1; k <= 2; k++) {
		help_io_plan((struct help_plan){.fail_at = k,
						.error = EIO,
						.kinds = 1u << CALL_DATASYNC});
		cr_expect_neq(try_save(&at), 0);
		help_io_plan((struct help_plan){0});
		cr_expect_eq(try_open(&s), JT_SNAPSHOT_E_NONE);
	}
}

/* ---- when ---- */

Test(snapshot, is_wanted_when_a_start_would_be_slow)
{
	struct jt_journal j = {.generation = 1};
	struct jt_clerk c;

	jt_clerk_init(&c, &help_io, HELP_DIR, true);
	j.committed.number = JT_CLERK_RECORDS;
	cr_expect_not(jt_clerk_wants(&c, &j, 10));
	j.committed.number++;
	cr_expect(jt_clerk_wants(&c, &j, 10));
	c.number = 5;
	c.generation = 1;
	cr_expect_not(jt_clerk_wants(&c, &j, 10));
	c.generation = 2;
	cr_expect(jt_clerk_wants(&c, &j, 10));
	cr_expect_not(jt_clerk_wants(&c, &j, 4 * JT_CLERK_RECORDS + 8));
}
