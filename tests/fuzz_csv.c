/*
 * fuzz_csv: any bytes as a table of tokens: for `create --from` (the first byte
 * is a multiple of 4) and for `import` with each of its schemes.
 *
 * Reading ends, with 0 or with a reason in plain lines. What was taken can be
 * written into a journal and be told about; a cell that holds a value of ours
 * is neither taken as a digest nor repeated.
 */
#include "admin/format.h"
#include "admin/intake.h"
#include "admin/output.h"
#include "tests/fuzz.h"

#include <ctype.h>
#include <sodium.h>

#define NOW_S 1800000000ull
#define INPUT_MAX 100000u

static const char value[] =
	"jt_live_Leak000000000000SecretOfAFuzzerThatOpensNoDoor00002YnFoH";

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	assert(sodium_init() >= 0);
	return 0;
}

/* As commit does, but for what it asks the journal. */
static void check_records(struct jt_issue *s)
{
	const char *why;

	for (size_t i = 0; i < s->n; i++) {
		struct jt_record *r = &s->records[i];

		assert(!jt_record_check(r, &why));
		assert(r->type == JT_REC_CREATE && r->token.expires_s > NOW_S);
		assert(jt_env_ok(r->env, strnlen(r->env, sizeof(r->env))));
		assert(r->token.own <= s->limits.n &&
		       r->token.plan <= s->plans.n &&
		       r->token.scope_set <= s->sets.n);
	}
}

static void create(struct jt_issue *s)
{
	const char *defaults[JT_COLUMNS_N] = {NULL};
	char out[JT_TOKEN_BYTES];
	int e = jt_bulk_read("-", defaults, NOW_S, s);

	assert(e == 0 || e == JT_EXIT_USAGE);
	if (e)
		return;
	assert(s->n > 0);
	for (size_t i = s->n; i-- > 0;)
		jt_issue_make(s, i, out);
	check_records(s);
	jt_bulk_write(stdout, &s->records[0], out);
}

static void check_rows(const struct jt_intake *in)
{
	char id[JT_ID_BYTES + 1], why[JT_WHY_MAX];
	size_t sum = 0;

	for (unsigned i = 0; i < JT_INTAKE_RESULTS; i++)
		sum += in->counts[i];
	assert(sum == in->n_rows);
	assert(in->issue.n == in->counts[JT_INTAKE_READY]);
	for (size_t i = 0; i < in->n_rows; i++) {
		jt_intake_tell(in, &in->rows[i], NOW_S, id, why);
		assert(strlen(why) < JT_WHY_MAX && !strstr(why, value));
		if (in->rows[i].result == JT_INTAKE_READY)
			assert(jt_public_ok(id, NULL, NULL));
		else
			assert(*why);
	}
}

static void import(struct jt_intake *in)
{
	struct jt_bulk table = {
		.path = "-",
		.defaults = (const char *[JT_COLUMNS_N]){NULL},
		.extra = "digest",
		.rules = &in->issue.rules,
		.now_s = NOW_S,
		.row = jt_intake_row,
		.bad = jt_intake_bad,
		.ctx = in,
	};
	int e = jt_bulk_rows(&table);

	assert(e == 0 || e == JT_EXIT_USAGE);
	assert(table.faults >= in->counts[JT_INTAKE_BAD]);
	if (e)
		return;
	assert(table.rows == in->n_rows);
	check_rows(in);
	check_records(&in->issue);
}

static void run(uint8_t how)
{
	static struct jt_intake in;
	static struct jt_issue s;

	if (how % 4 == 0) {
		assert(!jt_issue_init(&s));
		strcpy(s.prefix, "jt");
		create(&s);
		jt_issue_deinit(&s);
		return;
	}
	assert(!jt_intake_init(&in, (enum jt_intake_form)(how % 4 - 1)));
	assert(!jt_catalog_init(&in.fold.catalog));
	strcpy(in.issue.prefix, "jt");
	import(&in);
	jt_intake_deinit(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_voice v;
	FILE *before;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	before = fuzz_stdin(data + 1, size - 1);
	fuzz_listen(&v);
	run(data[0]);
	fuzz_hear(&v);
	fuzz_stdin_back(before);
	fuzz_check_plain(v.answer, v.answer_bytes);
	fuzz_check_plain(v.said, strlen(v.said));
	assert(!strstr(v.said, value) && !strstr(v.answer, value));
	free(v.answer);
	return 0;
}
