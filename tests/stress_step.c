/*
 * stress_step: the applier stopped after every instruction of every update.
 *
 * A process applies records to its table as the keeper does; its parent lets it
 * go one instruction at a time, and after each asks with a map of its own, as a
 * worker would that goes on when the keeper has been killed right there. So
 * every store is a place at which it is killed. While a record is being
 * applied a value may be VALID only if it is so before or after it; between two
 * records it is told what the record says; and a token that nobody touches is
 * VALID all the time. What a restart makes of the journal then is torture's.
 */
#include "tests/stress.h"

#include "shm/table.h"
#include "shm/token.h"
#include "shm/verify.h"
#include "sidecar/ledger.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>

#define NOW_S 1800000000ull
#define LATER_S (NOW_S + 86400u)
#define CAPACITY 16u
#define VALUES 4u /* the token's, before and after its rotation; two others */
#define OTHER 2u
#define OVER JT_WORDS_N
#define STEPS_MAX 10000000u

struct step {
	uint8_t type;
	unsigned words[VALUES]; /* when it is applied */
};

static const struct step steps[] = {
	{JT_REC_CREATE, {JT_VALID, JT_UNKNOWN, JT_VALID, JT_VALID}},
	{JT_REC_RENEW, {JT_VALID, JT_UNKNOWN, JT_VALID, JT_VALID}},
	{JT_REC_ROTATE, {JT_VALID, JT_VALID, JT_VALID, JT_VALID}},
	{JT_REC_SUSPEND, {JT_SUSPENDED, JT_SUSPENDED, JT_VALID, JT_VALID}},
	{JT_REC_RESUME, {JT_VALID, JT_VALID, JT_VALID, JT_VALID}},
	{JT_REC_SET, {JT_VALID, JT_VALID, JT_VALID, JT_VALID}},
	{JT_REC_FINISH, {OVER, JT_VALID, JT_VALID, JT_VALID}},
	{JT_REC_SUSPEND, {OVER, JT_SUSPENDED, JT_VALID, JT_VALID}},
	{JT_REC_REVOKE, {OVER, JT_REVOKED, JT_VALID, JT_VALID}},
	{JT_REC_PURGE, {OVER, JT_UNKNOWN, JT_VALID, JT_VALID}},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static const struct step at_rest = {
	0, {JT_UNKNOWN, JT_UNKNOWN, JT_VALID, JT_VALID}};

/* Written by the applier. */
struct told {
	struct jt_segment_fds fds;
	_Atomic uint64_t begun, done; /* steps */
};

static struct stress s;
static struct told *told;
static char texts[VALUES][JT_TOKEN_BYTES + 1];

/* ---- the applier ---- */

static struct jt_record a_token(unsigned value)
{
	struct jt_record r = {.type = JT_REC_CREATE, .env = "live"};

	memcpy(r.token.id, texts[value], JT_ID_BYTES);
	jt_token_digest((const uint8_t *)texts[value], r.token.digest);
	memcpy(r.token.owner, "somebody", 8);
	r.token.expires_s = (uint32_t)LATER_S;
	return r;
}

static void change(struct jt_record *r, uint8_t type)
{
	r->type = type;
	r->number++;
	switch (type) {
	case JT_REC_RENEW:
		r->token.expires_s++;
		break;
	case JT_REC_ROTATE:
		jt_token_digest((const uint8_t *)texts[1], r->token.digest);
		r->token.old_until_s = r->token.expires_s;
		break;
	case JT_REC_SUSPEND:
	case JT_REC_RESUME:
		r->token.flags ^= JT_TOKEN_SUSPENDED;
		break;
	case JT_REC_SET:
		memcpy(r->token.owner, "somebody else", 13);
		break;
	case JT_REC_FINISH:
		r->token.old_until_s = (uint32_t)NOW_S;
		break;
	default:
		break;
	}
}

static void put(struct jt_ledger *l, const struct jt_record *r)
{
	int rc = jt_ledger_apply(l, r);

	if (rc)
		stress_die("apply", rc);
}

static _Noreturn void apply_all(void)
{
	const struct jt_segment_size size = {
		.capacity = CAPACITY, .pool_bytes = 4096, .prefix = "jt"};
	const uint8_t id[16] = "a journal's id.";
	struct jt_record records[STEPS], other;
	struct jt_ledger ledger;
	struct jt_maps maps;

	if (jt_segment_create(&size, id, &told->fds, &maps) ||
	    jt_ledger_init(&ledger, &maps))
		stress_die("table", 1);
	ledger.now.wall_s = NOW_S;
	for (unsigned i = OTHER; i < VALUES; i++) {
		other = a_token(i);
		other.number = i;
		put(&ledger, &other);
	}
	records[0] = a_token(0);
	records[0].number = 100;
	for (unsigned i = 1; i < STEPS; i++) {
		records[i] = records[i - 1];
		change(&records[i], steps[i].type);
	}
	jt_ledger_settle(&ledger);
	jt_store_seq(&maps.identity_rw->state, JT_IDENTITY_SERVING);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		stress_die("ptrace", -errno);
	raise(SIGSTOP);
	for (unsigned i = 0; i < STEPS; i++) {
		jt_store_seq(&told->begun, i + 1);
		put(&ledger, &records[i]);
		jt_store_seq(&told->done, i + 1);
	}
	_exit(0);
}

/* ---- who looks ---- */

static int descriptor_of(pid_t pid, int fd)
{
	char path[64];
	int mine;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	mine = open(path, O_RDWR | O_CLOEXEC);
	if (mine < 0)
		stress_die(path, -errno);
	return mine;
}

static const struct step *after(uint64_t done)
{
	return done ? &steps[done - 1] : &at_rest;
}

static bool fits(enum jt_word word, unsigned must)
{
	if (must == OVER)
		return word == JT_REVOKED || word == JT_UNKNOWN;
	return word == must;
}

static void look(const struct jt_maps *maps, uint64_t at)
{
	/* both are the applier's, which stands still */
	uint64_t done = jt_load_seq(&told->done);
	uint64_t begun = jt_load_seq(&told->begun);
	const struct step *a = after(done), *b = after(begun);
	const struct jt_now now = {NOW_S, 1000000000};
	struct jt_verdict v[VALUES];
	struct jt_ask asks[VALUES];
	struct jt_tally tally = {0};

	for (unsigned i = 0; i < VALUES; i++)
		asks[i] = (struct jt_ask){
			.token = {(const uint8_t *)texts[i], JT_TOKEN_BYTES}};
	jt_verify(maps, NULL, asks, v, VALUES, now, &tally);
	stress_count(&s, VALUES);
	for (unsigned i = 0; i < VALUES; i++) {
		bool right = fits(v[i].word, a->words[i]) ||
			     fits(v[i].word, b->words[i]) ||
			     (a != b && i < OTHER && v[i].word != JT_VALID);

		if (!right)
			stress_fail(&s,
				    "value %u is told %s after instruction "
				    "%" PRIu64 " of record %" PRIu64,
				    i, jt_word_name(v[i].word), at, begun);
	}
}

static void step_through(pid_t pid)
{
	static struct jt_slot before[64];
	uint64_t n = 0, stores = 0, record = 0, at = 0;
	struct jt_segment_fds fds;
	struct jt_maps maps;
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		stress_die("the applier does not come to its start", 1);
	fds.identity = descriptor_of(pid, told->fds.identity);
	fds.meters = descriptor_of(pid, told->fds.meters);
	if (jt_segment_map(&fds, &maps) || maps.n_slots > 64)
		stress_die("map", 1);
	memcpy(before, maps.slots, maps.n_slots * sizeof(*before));
	while (n < STEPS_MAX) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid)
			stress_die("step", -errno);
		if (!WIFSTOPPED(status))
			break;
		n++;
		at = jt_load_seq(&told->begun) == record ? at + 1 : 0;
		record = jt_load_seq(&told->begun);
		look(&maps, at);
		if (!memcmp(before, maps.slots, maps.n_slots * sizeof(*before)))
			continue;
		memcpy(before, maps.slots, maps.n_slots * sizeof(*before));
		stores++;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		stress_fail(&s, "the applier ended with 0x%x",
			    (unsigned)status);
	if (jt_load_seq(&told->done) != STEPS || stores < 2 * STEPS)
		stress_fail(&s, "only %" PRIu64 " stores were seen", stores);
	printf("stress_step: %" PRIu64 " instructions of %zu updates, %" PRIu64
	       " changes of a slot\n",
	       n, STEPS, stores);
}

int main(int argc, char **argv)
{
	pid_t pid;

	stress_begin(&s, "stress_step", 0, argc, argv, NULL);
	told = stress_shared(sizeof(*told));
	jt_token_make("jt", "live", texts[0]);
	jt_token_remake(texts[0], texts[1]);
	jt_token_make("jt", "live", texts[2]);
	jt_token_make("jt", "live", texts[3]);
	pid = stress_fork();
	if (pid == 0)
		apply_all();
	step_through(pid);
	return stress_end(&s);
}
