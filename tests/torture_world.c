/*
 * torture_world: see torture.h.
 *
 * The table is made once. Between two images its header, slots and pool become
 * again what they were when it was empty; no plan is ever given, so the rest
 * of it is never written.
 */
#include "tests/torture.h"

#include "admin/anchor.h"
#include "shm/table.h"
#include "shm/token.h"
#include "sidecar/feed.h"
#include "sidecar/ledger.h"
#include "sidecar/snapshot.h"
#include <fcntl.h>

#define CAPACITY 64u
#define POOL 4096u
#define READ 64u
#define BOOT_NS 1000000000000ull

static char texts[T_VALUES][JT_TOKEN_BYTES + 1];
static struct jt_segment_fds fds;
static struct jt_maps maps, worker;
static uint8_t *pristine;
static size_t slots_end;
static struct jt_memo memo;
static struct jt_fault fault;

static void make_values(void)
{
	for (unsigned i = 0; i < T_TOKENS; i++) {
		jt_token_make("jt", "live", texts[2 * i]);
		jt_token_remake(texts[2 * i], texts[2 * i + 1]);
	}
}

static size_t pool_off(void)
{
	return maps.identity->pool_off;
}

void torture_world_init(void)
{
	const struct jt_segment_size size = {
		.capacity = CAPACITY, .pool_bytes = POOL, .prefix = "jt"};
	const uint8_t id[16] = "a journal's id.";
	void *memory;

	help_wall_ns = T_NOW_S * STRESS_NS_PER_S;
	make_values();
	if (jt_segment_create(&size, id, &fds, &maps) ||
	    jt_segment_map(&fds, &worker))
		stress_die("segments", 1);
	pristine = malloc(maps.identity_bytes);
	memory = aligned_alloc(64, jt_memo_bytes(CAPACITY));
	if (!pristine || !memory)
		stress_die("memory", -ENOMEM);
	memset(memory, 0, jt_memo_bytes(CAPACITY));
	jt_memo_init(&memo, memory, jt_memo_bytes(CAPACITY));
	memcpy(pristine, maps.identity_rw, maps.identity_bytes);
	slots_end = maps.identity->slots_off +
		    maps.n_slots * sizeof(struct jt_slot);
}

static void clear_table(void)
{
	uint8_t *to = (uint8_t *)maps.identity_rw;

	memcpy(to, pristine, slots_end);
	memcpy(to + pool_off(), pristine + pool_off(), POOL);
}

/* ---- the model ---- */

static unsigned word_of(const struct torture_state *s, unsigned token,
			unsigned value)
{
	bool is_old = value < s->rotated[token];

	if (value > s->rotated[token])
		return JT_UNKNOWN;
	if (is_old && s->finished[token])
		return T_OVER;
	switch ((enum life)s->life[token]) {
	case LIFE_NONE:
	case LIFE_PURGED:
		return JT_UNKNOWN;
	case LIFE_REVOKED:
		return JT_REVOKED;
	case LIFE_SUSPENDED:
		return JT_SUSPENDED;
	case LIFE_ACTIVE:
		break;
	}
	return JT_VALID;
}

static struct jt_record a_create(unsigned token)
{
	struct jt_record r = {.type = JT_REC_CREATE, .env = "live"};

	memcpy(r.token.id, texts[2 * token], JT_ID_BYTES);
	jt_token_digest((const uint8_t *)texts[2 * token], r.token.digest);
	snprintf(r.token.name, JT_NAME_MAX, "token %u", token);
	r.token.expires_s = (uint32_t)(T_NOW_S + 30 * 86400);
	return r;
}

static void rotate(struct torture_state *s, unsigned token)
{
	struct jt_record *r = &s->newest[token];

	r->type = JT_REC_ROTATE;
	jt_token_digest((const uint8_t *)texts[2 * token + 1], r->token.digest);
	r->token.old_until_s = r->token.expires_s;
	s->rotated[token] = true;
}

static void change(struct torture_state *s, unsigned token)
{
	struct jt_record *r = &s->newest[token];

	switch (stress_below(&t.random, 8)) {
	case 0:
	case 1:
		if (!s->rotated[token]) {
			rotate(s, token);
			return;
		}
		if (!s->finished[token]) {
			r->type = JT_REC_FINISH;
			r->token.old_until_s = (uint32_t)(T_NOW_S - 100);
			s->finished[token] = true;
			return;
		}
		/* fall through */
	case 2:
	case 3:
		r->type = JT_REC_RENEW;
		r->token.expires_s += 1;
		if (s->rotated[token] && !s->finished[token])
			r->token.old_until_s = r->token.expires_s;
		return;
	case 4:
	case 5:
	case 6:
		r->token.flags ^= JT_TOKEN_SUSPENDED;
		r->type = r->token.flags ? JT_REC_SUSPEND : JT_REC_RESUME;
		s->life[token] = r->token.flags ? LIFE_SUSPENDED : LIFE_ACTIVE;
		return;
	default:
		r->type = JT_REC_REVOKE;
		s->life[token] = LIFE_REVOKED;
	}
}

/* A token that something can still happen to; T_TOKENS: there is none. */
static unsigned choose(const struct torture_state *s)
{
	unsigned at = (unsigned)stress_below(&t.random, T_TOKENS);

	for (unsigned i = 0; i < T_TOKENS; i++, at = (at + 1) % T_TOKENS)
		if (s->life[at] < LIFE_REVOKED ||
		    (s->life[at] == LIFE_REVOKED &&
		     stress_below(&t.random, 16) == 0))
			return at;
	return T_TOKENS;
}

static struct jt_record invent(struct torture_state *s)
{
	struct jt_record rules = {.type = JT_REC_RULES,
				  .rules.max_lifetime = "90d"};
	unsigned token = choose(s);

	if (token == T_TOKENS)
		return rules;
	if (s->life[token] == LIFE_NONE) {
		s->newest[token] = a_create(token);
		s->life[token] = LIFE_ACTIVE;
	} else if (s->life[token] == LIFE_REVOKED) {
		s->newest[token].type = JT_REC_PURGE;
		s->life[token] = LIFE_PURGED;
	} else {
		change(s, token);
	}
	return s->newest[token];
}

size_t torture_invent(const struct torture_state *s, struct torture_state *next,
		      struct jt_record records[T_BATCH_MAX], size_t n)
{
	*next = *s;
	for (size_t i = 0; i < n; i++)
		records[i] = invent(next);
	next->number += n;
	for (unsigned i = 0; i < T_VALUES; i++)
		next->words[i] = (uint8_t)word_of(next, i / 2, i % 2);
	return n;
}

/* ---- the journal ---- */

int torture_append(struct jt_record *records, size_t n)
{
	struct jt_journal j;
	int rc = jt_journal_open_write(&j, &torture_io, HELP_DIR, 50, &fault);

	if (rc)
		return rc;
	rc = jt_journal_append(&j, records, n, &fault);
	if (!rc)
		torture_must_be_safe(j.committed.number, "acknowledged");
	jt_journal_close(&j);
	return rc;
}

void torture_tell(struct torture_state *s, unsigned commits)
{
	struct jt_record records[T_BATCH_MAX];
	struct torture_state next;
	size_t n;

	while (commits--) {
		n = torture_invent(s, &next, records,
				   1 + stress_below(&t.random, 4));
		if (torture_append(records, n))
			torture_failed("commit: %s", fault.line);
		*s = next;
	}
}

static int write_anchor(const struct jt_journal *j)
{
	struct jt_anchor a = {.number = j->committed.number,
			      .clock_s = T_NOW_S};

	memcpy(a.journal_id, j->id, sizeof(a.journal_id));
	memcpy(a.tag, j->committed.tag, sizeof(a.tag));
	return jt_anchor_write(&torture_io, j->dir_fd, &a);
}

int torture_anchor(void)
{
	struct jt_journal j;
	int rc = jt_journal_open(&j, &torture_io, HELP_DIR, &fault);

	if (rc)
		return rc;
	rc = write_anchor(&j);
	jt_journal_close(&j);
	return rc;
}

void torture_begin(struct torture_state *s)
{
	help_io_kill();
	disk_clear(&help_disk);
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < T_VALUES; i++)
		s->words[i] = JT_UNKNOWN;
	if (jt_journal_create(&torture_io, HELP_DIR, "jt", &fault))
		torture_failed("create: %s", fault.line);
	if (torture_anchor())
		torture_failed("the anchor cannot be written");
}

int torture_snapshot(void)
{
	const struct jt_snapshot_want want = {
		.data = HELP_DIR,
		.capacity = CAPACITY,
		.pool_bytes = POOL,
		.seed = 4711,
	};
	struct jt_snapshot_at at;

	return jt_snapshot_save(&torture_io, &want, &at, &fault);
}

/* ---- what is told ---- */

static void hold(unsigned value, enum jt_word told, unsigned must)
{
	const char *what = "wrong";

	if (told == must ||
	    (must == T_OVER && (told == JT_REVOKED || told == JT_UNKNOWN)))
		return;
	if (told == JT_VALID) {
		T_COUNT(resurrected);
		what = "RESURRECTED";
	} else if (must == JT_VALID) {
		T_COUNT(lost);
		what = "LOST";
	} else {
		T_COUNT(wrong);
	}
	torture_failed("%s: value %u of token %u is told %s, must be %s", what,
		       value % 2, value / 2, jt_word_name(told),
		       must == T_OVER ? "over" : jt_word_name(must));
}

void torture_ask(const struct jt_maps *of, const struct torture_state *s)
{
	const struct jt_now now = {T_NOW_S, BOOT_NS};
	struct jt_verdict v[T_VALUES];
	struct jt_ask asks[T_VALUES];
	struct jt_tally tally = {0};

	for (unsigned i = 0; i < T_VALUES; i++)
		asks[i] = (struct jt_ask){
			.token = {(const uint8_t *)texts[i], JT_TOKEN_BYTES},
			.cost = 1,
		};
	jt_verify(of, &memo, asks, v, T_VALUES, now, &tally);
	for (unsigned i = 0; i < T_VALUES; i++)
		hold(i, v[i].word, s->words[i]);
	jt_add_relaxed(&t.score->verdicts, T_VALUES); /* relaxed: counter */
}

static const struct torture_state *state_at(const struct torture_state *states,
					    unsigned n, uint64_t number)
{
	for (unsigned i = 0; i < n; i++)
		if (states[i].number == number)
			return &states[i];
	if (number < states[0].number)
		T_COUNT(lost);
	else
		T_COUNT(wrong);
	torture_failed("ends with record %" PRIu64 ", which ends no batch that "
		       "it may end with; the newest is %" PRIu64,
		       number, states[n - 1].number);
	return NULL;
}

static int apply_all(struct jt_reader *reader, struct jt_ledger *l)
{
	struct jt_record r[READ];
	size_t n;
	int rc;

	do {
		rc = jt_reader_next(reader, r, READ, &n, &fault);
		for (size_t i = 0; !rc && i < n; i++)
			if (jt_ledger_apply(l, &r[i])) {
				torture_failed("record %" PRIu64
					       " cannot be applied",
					       r[i].number);
				return -EINVAL;
			}
	} while (!rc && n > 0);
	return rc;
}

/* With the snapshot S if there is one. */
static int replay(const struct jt_journal *j, const struct jt_snapshot *s,
		  struct jt_ledger *l)
{
	struct jt_reader reader;
	int rc;

	clear_table();
	if (s) {
		maps.identity_rw->seed = s->h.seed;
		jt_store_seq(&maps.identity_rw->state, JT_IDENTITY_LOADING);
	}
	if (jt_ledger_init(l, &maps))
		stress_die("ledger", -ENOMEM);
	l->now = (struct jt_now){T_NOW_S, BOOT_NS};
	jt_reader_init(&reader, j);
	if (s) {
		rc = jt_snapshot_load(s, l, &fault);
		if (rc)
			return rc;
		reader = (struct jt_reader){.journal = j,
					    .next = s->h.number + 1,
					    .number = s->h.number,
					    .part = 1,
					    .parts = 1};
		memcpy(reader.tag, s->h.tag, sizeof(reader.tag));
	}
	rc = apply_all(&reader, l);
	if (!rc)
		rc = jt_ledger_settle(l);
	jt_store_seq(&maps.identity_rw->state, JT_IDENTITY_SERVING);
	return rc;
}

static int open_checked(struct jt_journal *j, bool sync)
{
	struct jt_anchor a;
	int rc = jt_journal_open(j, &help_io, HELP_DIR, &fault);

	if (rc)
		return rc;
	rc = jt_anchor_read(&help_io, j->dir_fd, &a);
	if (rc != JT_ANCHOR_E_NONE)
		rc = rc ? rc : jt_anchor_check(j, &a, &fault);
	else
		rc = 0;
	if (!rc && sync)
		rc = jt_journal_sync(j);
	if (rc)
		jt_journal_close(j);
	return rc;
}

struct torture_seen torture_look(const struct torture_state *states, unsigned n,
				 bool sync)
{
	const struct torture_state *s;
	struct torture_seen seen = {0};
	struct jt_ledger ledger;
	struct jt_journal j;

	seen.rc = open_checked(&j, sync);
	if (seen.rc)
		return seen;
	seen.number = j.committed.number;
	seen.adopted = j.adopted;
	seen.rc = replay(&j, NULL, &ledger);
	s = seen.rc ? NULL : state_at(states, n, seen.number);
	if (s)
		torture_ask(&worker, s);
	jt_ledger_deinit(&ledger);
	jt_journal_close(&j);
	return seen;
}

int torture_read(uint64_t *numberp, bool *adoptedp)
{
	struct jt_record r[READ];
	struct jt_reader reader;
	struct jt_journal j;
	size_t n = 1;
	int rc = open_checked(&j, false);

	if (rc)
		return rc;
	jt_reader_init(&reader, &j);
	while (!rc && n > 0)
		rc = jt_reader_next(&reader, r, READ, &n, &fault);
	*numberp = j.committed.number;
	*adoptedp = j.adopted;
	jt_journal_close(&j);
	return rc;
}

bool torture_look_snapshot(const struct torture_state *s)
{
	struct jt_ledger ledger;
	struct jt_snapshot snap;
	struct jt_journal j;
	int rc;

	if (open_checked(&j, false)) {
		torture_failed("snapshot: %s", fault.line);
		return false;
	}
	rc = jt_snapshot_open(&snap, &help_io, j.dir_fd, &j, &fault);
	if (!rc) {
		rc = replay(&j, &snap, &ledger);
		if (!rc)
			torture_ask(&worker, s);
		jt_ledger_deinit(&ledger);
	}
	jt_snapshot_close(&snap);
	jt_journal_close(&j);
	return !rc;
}
