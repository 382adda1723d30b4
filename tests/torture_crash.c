/*
 * torture_crash: processes and machines that stop, and calls that fail.
 *
 * For each operation and each K: up to its K-th call all is well, from there on
 * nothing works. Then the process is gone, or the machine with it and with
 * every choice (or a seeded sample of them) of what was not flushed: sectors of
 * 512 or of 4096 bytes, sizes, names. Or only the K-th call fails, with each of
 * the errors. And chains: one crash after the other on the same disk.
 */
#include "tests/torture.h"

#include "admin/compact.h"
#include "admin/rescue.h"
#include <errno.h>

#define EXHAUSTIVE 7u /* choices: all 128 images */
#define SAMPLES 150u  /* images of more choices than that */
#define LARGE 4200u   /* records: more than is kept above the reserve */
#define CHAIN_STEPS 12u
#define CHAIN_COMMITS 40u

struct operation {
	const char *name;
	int (*run)(void);
	void (*prepare)(void); /* may be NULL */
	bool commits, creates;
	unsigned every; /* of its calls, at each so-many-th only */
};

static struct torture_state sure, next;
static struct jt_record batch[LARGE];
static size_t batch_n;
static struct disk before, stopped;
static struct jt_fault fault;
static uint64_t keep_mask;
static unsigned keep_of_8; /* 9: by the mask */

static bool keep(unsigned i)
{
	if (keep_of_8 == 9)
		return keep_mask >> i & 1;
	return stress_below(&t.random, 8) < keep_of_8;
}

/* ---- operations ---- */

static int run_create(void)
{
	return jt_journal_create(&torture_io, HELP_DIR, "jt", &fault);
}

static int run_append(void)
{
	return torture_append(batch, batch_n);
}

static int run_rescue(void)
{
	return jt_journal_rescue(&torture_io, HELP_DIR, &fault);
}

static int run_compact(void)
{
	struct jt_compacted done;

	return jt_journal_compact(&torture_io, HELP_DIR, &done, &fault);
}

static void prepare_one(void)
{
	batch_n = torture_invent(&sure, &next, batch, 1);
}

static void prepare_five(void)
{
	batch_n = torture_invent(&sure, &next, batch, 5);
}

/* One change, and so many records that the file must grow. */
static void prepare_large(void)
{
	struct jt_record rules = {.type = JT_REC_RULES,
				  .rules.max_lifetime = "90d"};

	prepare_one();
	for (batch_n = 1; batch_n < LARGE; batch_n++)
		batch[batch_n] = rules;
	next.number += LARGE - 1;
}

static const struct operation operations[] = {
	{"creation", run_create, NULL, false, true, 1},
	{"append of 1", run_append, prepare_one, true, false, 1},
	{"append of 5", run_append, prepare_five, true, false, 1},
	{"append that grows", run_append, prepare_large, true, false, 3},
	{"rescue", run_rescue, NULL, false, false, 1},
	{"compaction", run_compact, NULL, false, false, 1},
	{"snapshot", torture_snapshot, NULL, false, false, 1},
	{"anchor", torture_anchor, NULL, false, false, 1},
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* ---- after an image ---- */

static void next_commit_works(const struct torture_state *shown)
{
	struct jt_record records[T_BATCH_MAX];
	struct torture_state more;
	struct torture_seen seen;
	size_t n = torture_invent(shown, &more, records, 1);
	int rc = torture_append(records, n);

	if (rc) {
		torture_failed("the next commit is refused: %d", rc);
		return;
	}
	seen = torture_look(&more, 1, false);
	if (seen.rc)
		torture_failed("refused after the next commit: %d", seen.rc);
}

/* Nothing may be refused, nothing acknowledged be missing. */
static void must_be_sound(const struct operation *op, bool acknowledged)
{
	struct torture_state states[2];
	struct torture_seen seen;
	unsigned n = 0;

	if (!op->commits || !acknowledged)
		states[n++] = sure;
	if (op->commits)
		states[n++] = next;
	T_COUNT(images);
	seen = torture_look(states, n, true);
	if (op->creates && seen.rc == JT_JOURNAL_E_NONE && !acknowledged) {
		if (run_create())
			torture_failed("creation after it: %s", fault.line);
		seen = torture_look(states, n, true);
	}
	if (seen.rc) {
		torture_failed("refused: %d", seen.rc);
		return;
	}
	T_COUNT(recovered);
	if (seen.adopted)
		T_COUNT(adopted);
	n = n == 2 && seen.number == states[1].number;
	if (disk_find(&help_disk, "snapshot") >= 0 &&
	    !torture_look_snapshot(&states[n]))
		T_COUNT(ignored);
	next_commit_works(&states[n]);
	help_io_kill();
}

static void start(const struct operation *op)
{
	help_io_plan((struct help_plan){0});
	torture_begin(&sure);
	if (op->creates) {
		disk_clear(&help_disk);
	} else {
		torture_tell(&sure, 24);
		if (torture_anchor() || torture_snapshot())
			torture_failed("anchor or snapshot");
		torture_tell(&sure, 6);
	}
	if (op->prepare)
		op->prepare();
	disk_copy(&before, &help_disk);
}

static uint64_t calls_of(const struct operation *op)
{
	help_io_plan((struct help_plan){0});
	if (op->run())
		torture_failed("without any fault: %s", fault.line);
	return help_calls;
}

static bool run_until(const struct operation *op, uint64_t k)
{
	bool acknowledged;

	disk_copy(&help_disk, &before);
	help_io_kill();
	help_io_plan((struct help_plan){
		.fail_at = k, .forever = true, .error = EIO});
	acknowledged = op->run() == 0;
	help_io_plan((struct help_plan){0});
	return acknowledged;
}

/* Every choice of what is pending, or a sample with both extremes. */
static void cut_power(const struct operation *op, bool acknowledged,
		      unsigned together)
{
	unsigned n, images;

	disk_together = together;
	n = disk_choices(&stopped);
	images = n <= EXHAUSTIVE ? 1u << n : SAMPLES;
	for (unsigned i = 0; i < images; i++) {
		keep_of_8 = n <= EXHAUSTIVE ? 9 : i % 9;
		keep_mask = i;
		disk_copy(&help_disk, &stopped);
		help_io_power_cut(keep);
		if (together == 1)
			T_COUNT(cuts512);
		else
			T_COUNT(cuts4096);
		must_be_sound(op, acknowledged);
	}
	disk_together = 1;
}

static void crash_everywhere(const struct operation *op)
{
	uint64_t calls;

	t.step = op->name;
	t.at = 0;
	start(op);
	calls = calls_of(op);
	for (uint64_t k = 1; k <= calls + 1; k += op->every) {
		bool acknowledged;

		if (!torture_mine(k))
			continue;
		t.at = k;
		T_COUNT(points);
		acknowledged = run_until(op, k);
		disk_copy(&stopped, &help_disk);
		help_io_kill();
		T_COUNT(kills);
		must_be_sound(op, acknowledged);
		cut_power(op, acknowledged, 1);
		cut_power(op, acknowledged, 8);
	}
}

void torture_crashes(void)
{
	for (unsigned i = 0; i < OPERATIONS; i++)
		crash_everywhere(&operations[i]);
}

/* ---- single errors ---- */

/* Writers may be shut out until the rescue; readers never are. */
static void must_come_back(const struct operation *op, bool acknowledged)
{
	struct jt_journal j;
	int rc;

	if (help_io_open_fds())
		torture_failed("%u descriptors leaked", help_io_open_fds());
	help_io_kill();
	rc = jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &fault);
	if (!rc)
		jt_journal_close(&j);
	if (rc == JT_JOURNAL_E_POISONED && run_rescue())
		torture_failed("rescue: %s", fault.line);
	must_be_sound(op, acknowledged);
}

static void fail_one(const struct operation *op, struct help_plan plan)
{
	int rc;

	disk_copy(&help_disk, &before);
	help_io_kill();
	help_io_plan(plan);
	rc = op->run();
	help_io_plan((struct help_plan){0});
	disk_copy(&stopped, &help_disk);
	T_COUNT(errors);
	must_come_back(op, rc == 0);
	if (plan.fail_at == 0)
		return;
	disk_copy(&help_disk, &stopped);
	help_io_power_cut(NULL);
	T_COUNT(cuts512);
	must_be_sound(op, rc == 0);
}

static void fail_everywhere(const struct operation *op)
{
	static const int errors[] = {EIO,    ENOSPC, EDQUOT, EFBIG, EROFS,
				     EACCES, EMFILE, ENOMEM, EINTR};
	uint64_t calls;

	start(op);
	calls = calls_of(op);
	for (uint64_t i = 0; i < 9 * calls; i += op->every) {
		t.at = i / 9 + 1;
		if (torture_mine(i))
			fail_one(op, (struct help_plan){
					     .fail_at = t.at,
					     .error = errors[i % 9],
				     });
	}
	/* short transfers of every length, every call interrupted */
	for (uint64_t i = 0; i < 4 * JT_PAGE && !op->creates; i++) {
		uint64_t bytes = i < 300 ? i + 1 : i * 7;

		t.at = bytes;
		if (torture_mine(i) && (i < 300 || i % 97 == 0) &&
		    op->every == 1)
			fail_one(op, (struct help_plan){
					     .transfer_max = bytes,
					     .interrupt = i % 2,
				     });
	}
}

/* The disk is full after so many bytes more. */
static void fill_disk(const struct operation *op)
{
	uint64_t used;

	start(op);
	used = disk_used(&help_disk);
	for (uint64_t more = 0; more < 400; more++) {
		t.at = more;
		if (torture_mine(more))
			fail_one(op, (struct help_plan){
					     .capacity = used + more * 3001 / 2,
				     });
	}
}

void torture_errors(void)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		const struct operation *op = &operations[i];

		t.step = op->name;
		fail_everywhere(op);
		if (!op->creates)
			fill_disk(op);
	}
}

/* ---- chains ---- */

static struct torture_state may[T_STATES]; /* what a power cut may show */
static unsigned may_n;

static void only(const struct torture_state *s)
{
	may[0] = *s;
	may_n = 1;
}

static const struct operation *choose_operation(void)
{
	uint64_t z = stress_below(&t.random, 16);

	return &operations[z < 6 ? 1 : z < 11 ? 2 : z - 11 + 3];
}

/* One operation that is broken off somewhere, or is not. Acknowledged? */
static bool chain_run(const struct operation *op)
{
	uint64_t at = 1 + stress_below(&t.random, 64);
	bool acknowledged;

	if (stress_below(&t.random, 4) == 0)
		at = 1 + stress_below(&t.random, 700);
	sure = may[may_n - 1];
	if (op->prepare)
		op->prepare();
	help_io_plan((struct help_plan){
		.fail_at = at, .forever = true, .error = EIO});
	acknowledged = op->run() == 0;
	help_io_plan((struct help_plan){0});
	if (acknowledged)
		only(op->commits ? &next : &sure);
	else if (op->commits)
		may[may_n++] = next;
	return acknowledged;
}

/* The process ends, or the machine; what is shown then is the one of them. */
static bool chain_crash(void)
{
	bool cut = stress_below(&t.random, 2);
	bool sync = cut || may_n >= T_STATES - 1 || stress_below(&t.random, 2);
	struct torture_seen seen;

	T_COUNT(images);
	if (cut) {
		disk_together = stress_below(&t.random, 2) ? 8 : 1;
		keep_of_8 = (unsigned)stress_below(&t.random, 9);
		help_io_power_cut(keep);
		if (disk_together == 1)
			T_COUNT(cuts512);
		else
			T_COUNT(cuts4096);
		disk_together = 1;
	} else {
		help_io_kill();
		T_COUNT(kills);
	}
	seen = torture_look(may, may_n, sync);
	if (seen.rc) {
		torture_failed("refused: %d", seen.rc);
		return false;
	}
	T_COUNT(recovered);
	while (may_n && may[may_n - 1].number != seen.number)
		may_n--;
	if (sync && may_n)
		only(&may[may_n - 1]);
	return may_n > 0;
}

static void chain(void)
{
	torture_begin(&sure);
	torture_tell(&sure, (unsigned)stress_below(&t.random, CHAIN_COMMITS));
	if (torture_anchor())
		torture_failed("anchor");
	only(&sure);
	T_COUNT(chains);
	for (unsigned i = 0; i < CHAIN_STEPS; i++) {
		const struct operation *op = choose_operation();

		t.step = op->name;
		/* a daemon anchors only what it has flushed */
		if (op->run == torture_anchor && may_n > 1)
			continue;
		/* each leaves a file behind */
		if ((op->run == run_compact || op->run == run_rescue) &&
		    disk_files(&help_disk) > DISK_FILES - 4)
			continue;
		T_COUNT(points);
		(void)chain_run(op);
		if (!chain_crash())
			return;
	}
	if (disk_find(&help_disk, "snapshot") >= 0 && may_n == 1 &&
	    !torture_look_snapshot(&may[0]))
		T_COUNT(ignored);
	next_commit_works(&may[may_n - 1]);
	help_io_kill();
}

void torture_chains(void)
{
	for (t.at = t.hand; stress_goes_on(t.s); t.at += t.hands) {
		t.random = stress_mix(t.s->seed ^ stress_mix(t.at));
		chain();
	}
}
