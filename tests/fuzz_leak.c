/*
 * fuzz_leak: any bytes as a text in which values leaked, `revoke --leaked -`.
 *
 * Two bytes say how much stands in front, so that values fall across the pieces
 * in which the text is read. Of six tokens one is revoked, one suspended, one
 * rotated within its overlap, one after it. Which values stand in the text is
 * looked for here plainly; those tokens are revoked, or their overlap ended,
 * and no other is touched. The exit code says so; no value is repeated.
 */
#include "admin/anchor.h"
#include "admin/leak.h"
#include "shm/token.h"
#include "tests/fuzz.h"

#include <sodium.h>

#define TOKENS 6u
#define IMAGE_MAX (1u << 15)
#define PAD_MAX 70000u
#define INPUT_MAX 8192u

/* Right checksums; those of ROTATED and OVER are the values before. */
static const char values[TOKENS][JT_TOKEN_BYTES + 1] = {
	"jt_live_Leak000000000000SecretOfAFuzzerThatOpensNoDoor00002YnFoH",
	"jt_live_Leak000000000001SecretOfAFuzzerThatOpensNoDoor00013AQgda",
	"jt_live_Leak000000000002SecretOfAFuzzerThatOpensNoDoor00020KSg32",
	"jt_live_Leak000000000003SecretOfAFuzzerThatOpensNoDoor00034Jinkp",
	"jt_live_Leak000000000004SecretOfAFuzzerThatOpensNoDoor00044CaTnw",
	"jt_live_Leak000000000005SecretOfAFuzzerThatOpensNoDoor00050xxrLm",
};
enum {
	PLAIN,
	OTHER,
	REVOKED,
	SUSPENDED,
	ROTATED,
	OVER,
};

static struct jt_cmd cmd;
static struct jt_fault fault;
static uint8_t good[IMAGE_MAX];
static size_t good_bytes;
static uint64_t good_number;
static int journal_fd;
static uint8_t text[PAD_MAX + INPUT_MAX];
static size_t text_bytes;

static void append(struct jt_record *r)
{
	struct jt_journal j;

	assert(!jt_journal_open_write(&j, &jt_io_os, fuzz_dir, 1000, &fault));
	assert(!jt_journal_append(&j, r, 1, &fault));
	good_number = j.committed.number;
	jt_journal_close(&j);
}

static void issue(unsigned n)
{
	uint32_t now_s = (uint32_t)(jt_io_os.wall_ns() / 1000000000u);
	struct jt_record r = {.type = JT_REC_CREATE, .env = "live"};

	memcpy(r.token.id, values[n], JT_ID_BYTES);
	jt_token_digest((const uint8_t *)values[n], r.token.digest);
	memcpy(r.token.name, "name", 4);
	r.token.expires_s = now_s + 90 * 86400;
	append(&r);
	if (n == REVOKED)
		r.type = JT_REC_REVOKE;
	if (n == SUSPENDED) {
		r.type = JT_REC_SUSPEND;
		r.token.flags = JT_TOKEN_SUSPENDED;
	}
	if (n == ROTATED || n == OVER) {
		r.type = JT_REC_ROTATE;
		memset(r.token.digest, 77, JT_DIGEST_BYTES);
		r.token.old_until_s = n == OVER ? now_s - 1 : now_s + 86400;
	}
	if (n > OTHER)
		append(&r);
}

/* As the verb does, but for a note about who still uses it. */
static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	return f->newest.type == JT_REC_REVOKE ? JT_AMEND_SAME : 0;
}

static const struct jt_amend_verb verb = {
	.type = JT_REC_REVOKE,
	.done = "revoked",
	.choice = JT_CHOICE,
	.urgent = true,
	.one = one,
};

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	char path[128];
	ssize_t n;

	assert(sodium_init() >= 0);
	fuzz_make_dir();
	assert(!jt_journal_create(&jt_io_os, fuzz_dir, "jt", &fault));
	for (unsigned i = 0; i < TOKENS; i++)
		issue(i);
	assert(!jt_paths_resolve(&cmd.paths, fuzz_dir, fuzz_dir, &fault));
	cmd.args.leaked = "-";
	cmd.args.offline = "offline";
	fuzz_path(path, JT_JOURNAL_NAME);
	journal_fd = open(path, O_RDWR | O_CLOEXEC);
	n = pread(journal_fd, good, sizeof(good), 0);
	assert(n == sizeof(good));
	good_bytes = (size_t)n;
	return 0;
}

/* The journal as it was; what was appended stands in the reserve. */
static void restore(void)
{
	char path[128];

	assert(pwrite(journal_fd, good, good_bytes, 0) == (ssize_t)good_bytes);
	fuzz_path(path, JT_ANCHOR_NAME);
	unlink(path);
}

static bool stands(unsigned n)
{
	return memmem(text, text_bytes, values[n], JT_TOKEN_BYTES) != NULL;
}

static void check(int e)
{
	bool any = false, all_dead = true;
	struct jt_record r;
	struct jt_journal j;
	uint64_t expected = good_number;

	for (unsigned i = 0; i < TOKENS; i++) {
		bool lives = i != REVOKED && i != OVER;

		any |= stands(i) && i != OVER;
		all_dead &= !(stands(i) && lives);
		expected += stands(i) && lives;
	}
	assert(e == (any ? 0 : JT_EXIT_NO));
	assert(!jt_journal_open(&j, &jt_io_os, fuzz_dir, &fault));
	assert(j.committed.number == expected);
	for (uint64_t n = good_number + 1; n <= expected; n++) {
		unsigned i = 0;

		assert(!jt_journal_read(&j, n, &r, 1, &fault));
		while (memcmp(values[i], r.token.id, JT_ID_BYTES))
			assert(++i < TOKENS);
		assert(stands(i));
		assert(r.type ==
		       (i == ROTATED ? JT_REC_FINISH : JT_REC_REVOKE));
	}
	assert(all_dead == (expected == good_number));
	jt_journal_close(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_voice v;
	uint16_t pad;
	FILE *before;
	int e;

	if (size < 3 || size > INPUT_MAX)
		return 0;
	memcpy(&pad, data, sizeof(pad));
	memset(text, '.', pad);
	memcpy(text + pad, data + 2, size - 2);
	text_bytes = pad + size - 2;
	restore();
	before = fuzz_stdin(text, text_bytes);
	fuzz_listen(&v);
	e = jt_leak_revoke(&cmd, &verb);
	fuzz_hear(&v);
	fuzz_stdin_back(before);
	check(e);
	fuzz_check_plain(v.answer, v.answer_bytes);
	fuzz_check_plain(v.said, strlen(v.said));
	for (unsigned i = 0; i < TOKENS; i++)
		assert(!strstr(v.said, values[i] + JT_ID_BYTES) &&
		       !strstr(v.answer, values[i] + JT_ID_BYTES));
	free(v.answer);
	return 0;
}
