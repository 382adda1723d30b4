/*
 * intake: see intake.h.
 *
 * A row is judged when it is read, against the journal as it was folded then,
 * and against the rows before it. Most of a table that is imported again is
 * done with after a look into `known`. Under the lock only values that came
 * since are new there, so only then the rows are gone through once more.
 *
 * Reasons repeat, so each is kept once; a table that gives more different ones
 * than fit gets a general one for the rest.
 */
#include "admin/intake.h"
#include "admin/output.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MIN 64u
#define WHYS_MAX 65535u
#define PLANS_MAX 65535u
#define HEX_CHARS 64u
#define BASE64_CHARS 43u /* without padding */

static const char other_key[] =
	"begins with the same 8 bytes as another token's, by which both would "
	"be found";
static const char other_scheme[] =
	"is there already under another --scheme; the same digest cannot stand "
	"for both";

const char *const jt_intake_words[JT_INTAKE_RESULTS] = {
	[JT_INTAKE_READY] = "ready",   [JT_INTAKE_IMPORTED] = "imported",
	[JT_INTAKE_EXISTS] = "exists", [JT_INTAKE_DUPLICATE] = "duplicate",
	[JT_INTAKE_BAD] = "bad",
};

bool jt_intake_form_parse(const char *text, enum jt_intake_form *formp)
{
	static const char *const names[JT_INTAKE_FORMS] = {
		[JT_INTAKE_HEX] = "sha256-hex",
		[JT_INTAKE_BASE64] = "sha256-base64",
		[JT_INTAKE_PREFIXED] = "sha256-prefixed",
	};

	for (unsigned i = 0; i < JT_INTAKE_FORMS; i++) {
		*formp = (enum jt_intake_form)i;
		if (strcmp(text, names[i]) == 0)
			return true;
	}
	return false;
}

static uint8_t scheme_of(enum jt_intake_form form)
{
	return form == JT_INTAKE_PREFIXED ? JT_VALUE_PREFIXED : JT_VALUE_SHA256;
}

/* ---- a cell ---- */

static bool hex(const char *cell, size_t n, uint8_t *out, char *why)
{
	size_t good = strspn(cell, "0123456789abcdefABCDEF");

	if (n != HEX_CHARS)
		snprintf(why, JT_WHY_MAX,
			 "has %zu characters, a SHA-256 in hex has 64", n);
	else if (good != n)
		snprintf(why, JT_WHY_MAX,
			 "is not hex: character %zu is no digit of it",
			 good + 1);
	else
		return sodium_hex2bin(out, JT_DIGEST_BYTES, cell, n, NULL, NULL,
				      NULL) == 0;
	return false;
}

static bool base64(const char *cell, size_t n, uint8_t *out, char *why)
{
	size_t text = n == BASE64_CHARS + 1 && cell[n - 1] == '=' ? n - 1 : n;
	size_t bytes;

	if (text != BASE64_CHARS) {
		snprintf(why, JT_WHY_MAX,
			 "has %zu characters, a SHA-256 in base64 has 43, or "
			 "44 with its `=`",
			 n);
		return false;
	}
	if (sodium_base642bin(out, JT_DIGEST_BYTES, cell, text, NULL, &bytes,
			      NULL,
			      sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 ||
	    sodium_base642bin(out, JT_DIGEST_BYTES, cell, text, NULL, &bytes,
			      NULL,
			      sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0)
		return true;
	snprintf(why, JT_WHY_MAX,
		 "is not base64 of 32 bytes, neither standard nor URL-safe");
	return false;
}

/* Of ours, cut or not? Such a cell may even pass for base64. */
static bool is_ours(const char *cell, size_t n, const char *prefix)
{
	size_t p = strlen(prefix);

	return n > JT_PUBLIC_BYTES && strncmp(cell, prefix, p) == 0 &&
	       cell[p] == '_' && jt_public_ok(cell, NULL, NULL) &&
	       isalnum((unsigned char)cell[JT_PUBLIC_BYTES]);
}

bool jt_intake_digest(enum jt_intake_form form, const char *prefix,
		      const char *cell, uint8_t out[JT_DIGEST_BYTES],
		      char why[JT_WHY_MAX])
{
	/* of no byte at all: never a token, but what a broken export holds */
	static const uint8_t of_nothing[JT_DIGEST_BYTES] = {
		0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
		0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
		0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
		0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
	};
	size_t n = strlen(cell);
	bool ok;

	if (n == 0) {
		strcpy(why, "is empty");
		return false;
	}
	ok = form == JT_INTAKE_BASE64 ? base64(cell, n, out, why)
				      : hex(cell, n, out, why);
	/* a digest may look like a value by chance, but not like ours */
	if (is_ours(cell, n, prefix) || (!ok && jt_looks_secret(cell))) {
		strcpy(why, "holds a token value, which must not be stored; "
			    "give its SHA-256");
		return false;
	}
	if (ok && memcmp(out, of_nothing, sizeof(of_nothing)) == 0) {
		strcpy(why, "is the SHA-256 of an empty value");
		return false;
	}
	return ok;
}

/* ---- the journal ---- */

/* A record of the journal: a value that it knows from now on? */
static int learn(void *ctx, const struct jt_catalog *c,
		 const struct jt_record *r)
{
	struct jt_intake *in = ctx;
	const struct jt_card *card;

	if (!jt_record_is_token(r->type) || r->token.scheme == JT_VALUE_NATIVE)
		return 0;
	/* made again after a purge it may be of another environment */
	if (r->type != JT_REC_CREATE &&
	    jt_known_find(&in->known, r->token.digest))
		return 0;
	card = jt_catalog_find(c, r->token.id);
	return card ? jt_known_put(&in->known, r->token.digest, r->token.scheme,
				   (uint32_t)(card - c->cards))
		    : 0;
}

static void forget(void *ctx)
{
	struct jt_intake *in = ctx;

	in->known.n = 0;
	memset(in->known.index, 0,
	       (in->known.index_mask + 1) * sizeof(*in->known.index));
}

int jt_intake_init(struct jt_intake *in, enum jt_intake_form form)
{
	memset(in, 0, sizeof(*in));
	in->form = form;
	in->fold = (struct jt_fold){
		.none_will_do = true, .each = learn, .anew = forget, .ctx = in};
	if (jt_issue_init(&in->issue) == 0 && jt_known_init(&in->known) == 0 &&
	    jt_known_init(&in->mine) == 0 &&
	    jt_distinct_init(&in->plans, PLANS_MAX) == 0 &&
	    jt_distinct_init(&in->whys, WHYS_MAX) == 0) {
		in->plan_there = calloc(PLANS_MAX + 1, sizeof(*in->plan_there));
		return in->plan_there ? 0 : -ENOMEM;
	}
	return -ENOMEM;
}

void jt_intake_deinit(struct jt_intake *in)
{
	jt_fold_close(&in->fold);
	jt_issue_deinit(&in->issue);
	jt_known_deinit(&in->known);
	jt_known_deinit(&in->mine);
	jt_distinct_deinit(&in->plans);
	jt_distinct_deinit(&in->whys);
	free(in->plan_there);
	free(in->rows);
	memset(in, 0, sizeof(*in));
}

/* ---- rows ---- */

static int no_memory(void)
{
	return jt_fail(JT_EXIT_FILE, "not enough memory");
}

static int push(struct jt_intake *in, uint64_t line, enum jt_intake_result what,
		size_t at)
{
	size_t max = in->rows_max ? 2 * in->rows_max : ROWS_MIN;
	struct jt_intake_row *rows;

	if (in->n_rows == in->rows_max) {
		rows = max < UINT32_MAX
			       ? reallocarray(in->rows, max, sizeof(*rows))
			       : NULL;
		if (!rows)
			return no_memory();
		in->rows = rows;
		in->rows_max = max;
	}
	in->rows[in->n_rows++] = (struct jt_intake_row){
		.line = line, .at = (uint32_t)at, .result = what};
	in->counts[what]++;
	return 0;
}

/* A value of the journal with that key, if its token lives. */
static const struct jt_known_value *find_there(const struct jt_intake *in,
					       const uint8_t *digest)
{
	const struct jt_known_value *v = jt_known_find(&in->known, digest);

	return v && jt_card_lives(&in->fold.catalog.cards[v->at]) ? v : NULL;
}

/* Is what has the key of this value another one? NULL: it is the same. */
static const char *differs(const struct jt_known_value *v,
			   const uint8_t digest[JT_DIGEST_BYTES],
			   uint8_t scheme)
{
	if (memcmp(v->digest, digest, sizeof(v->digest)) != 0)
		return other_key;
	return v->scheme == scheme ? NULL : other_scheme;
}

static bool is_plan(const struct jt_catalog *c, const char *text)
{
	char name[JT_PLAN_MAX] = "";
	uint16_t number;

	memcpy(name, text, strlen(text));
	number = jt_catalog_plan(c, name);
	return number && !c->plans[number].removed;
}

/* Plans are few, rows are many: each name is looked for once. */
static bool has_plan(struct jt_intake *in, const struct jt_draft *d)
{
	uint32_t had = in->plans.n, at = 0;

	if (!*d->plan)
		return true;
	if (jt_distinct_put(&in->plans, d->plan, strlen(d->plan), &at) != 0)
		return is_plan(&in->fold.catalog, d->plan);
	if (at > had)
		in->plan_there[at] = is_plan(&in->fold.catalog, d->plan);
	return in->plan_there[at];
}

static int add(struct jt_intake *in, uint64_t line, const struct jt_draft *d,
	       const uint8_t digest[JT_DIGEST_BYTES], const char **columnp,
	       char *why)
{
	const struct jt_bulk table = {.path = "the table"};
	struct jt_issue *s = &in->issue;
	int e;

	*columnp = "plan";
	if (!has_plan(in, d)) {
		strcpy(why, "does not exist; see `jeton plan list`");
		return JT_BULK_BAD;
	}
	e = jt_issue_add(s, d);
	if (e)
		return jt_bulk_refusal(&table, e, columnp, why);
	jt_issue_adopt(s, s->n - 1, digest, scheme_of(in->form));
	*columnp = "digest";
	if (jt_catalog_find(&in->fold.catalog, s->records[s->n - 1].token.id)) {
		s->n--;
		strcpy(why, other_key);
		return JT_BULK_BAD;
	}
	if (jt_known_put(&in->mine, digest, scheme_of(in->form),
			 (uint32_t)in->n_rows) != 0)
		return no_memory();
	return push(in, line, JT_INTAKE_READY, s->n - 1);
}

int jt_intake_row(void *ctx, uint64_t line, const struct jt_draft *d,
		  const char *cell, const char **columnp, char why[JT_WHY_MAX])
{
	struct jt_intake *in = ctx;
	const struct jt_known_value *there, *before;
	uint8_t digest[JT_DIGEST_BYTES];
	const char *other = NULL;

	in->seen = in->fold.reader.next;
	*columnp = "digest";
	if (!jt_intake_digest(in->form, in->issue.prefix, cell, digest, why))
		return JT_BULK_BAD;
	there = find_there(in, digest);
	before = jt_known_find(&in->mine, digest);
	if (there || before)
		other = differs(there ? there : before, digest,
				scheme_of(in->form));
	if (other) {
		strcpy(why, other);
		return JT_BULK_BAD;
	}
	if (there)
		return push(in, line, JT_INTAKE_EXISTS,
			    (size_t)(there - in->known.values));
	if (before)
		return push(in, line, JT_INTAKE_DUPLICATE, before->at);
	return add(in, line, d, digest, columnp, why);
}

/* The number of a reason, 0: it could not be kept. */
static int keep_why(struct jt_intake *in, const char *column, const char *why,
		    uint32_t *numberp)
{
	char text[JT_WHY_MAX];
	int n = snprintf(text, sizeof(text), "%s %s", column, why);

	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	*numberp = 0;
	return jt_distinct_put(&in->whys, text, (size_t)n, numberp);
}

int jt_intake_bad(void *ctx, uint64_t line, const char *column, const char *why)
{
	struct jt_intake *in = ctx;
	uint32_t number;

	if (keep_why(in, column, why, &number) < 0)
		return no_memory();
	return push(in, line, JT_INTAKE_BAD, number);
}

/* ---- under the lock ---- */

static void turn(struct jt_intake *in, struct jt_intake_row *row,
		 enum jt_intake_result what, size_t at)
{
	in->counts[row->result]--;
	in->counts[what]++;
	row->result = what;
	row->at = (uint32_t)at;
}

/* A row that was ready: is it still? */
static int judge_again(struct jt_intake *in, struct jt_intake_row *row,
		       const struct jt_record *r)
{
	const struct jt_known_value *there = find_there(in, r->token.digest);
	const char *other = other_key;
	uint32_t why;

	if (there)
		other = differs(there, r->token.digest, r->token.scheme);
	else if (!jt_catalog_find(&in->fold.catalog, r->token.id))
		return 0;
	if (!other) {
		turn(in, row, JT_INTAKE_EXISTS,
		     (size_t)(there - in->known.values));
		return 0;
	}
	if (keep_why(in, "digest", other, &why) < 0)
		return no_memory();
	turn(in, row, JT_INTAKE_BAD, why);
	return 0;
}

int jt_intake_again(struct jt_intake *in)
{
	struct jt_record *records = in->issue.records;
	size_t n = 0;
	int e = 0;

	if (in->seen == in->fold.reader.next)
		return 0;
	for (size_t i = 0; e == 0 && i < in->n_rows; i++) {
		struct jt_intake_row *row = &in->rows[i];

		if (row->result != JT_INTAKE_READY)
			continue;
		e = judge_again(in, row, &records[row->at]);
		if (row->result != JT_INTAKE_READY)
			continue;
		if (n != row->at)
			records[n] = records[row->at];
		row->at = (uint32_t)n++;
	}
	in->issue.n = n;
	return e;
}

void jt_intake_imported(struct jt_intake *in)
{
	for (size_t i = 0; i < in->n_rows; i++)
		if (in->rows[i].result == JT_INTAKE_READY)
			turn(in, &in->rows[i], JT_INTAKE_IMPORTED,
			     in->rows[i].at);
}

/* ---- answers ---- */

static void tell_card(const struct jt_card *card, uint64_t now_s, char *id,
		      char *why)
{
	const char *status =
		jt_card_lives(card) ? jt_card_status(card, now_s) : "Purged";

	memcpy(id, card->id, JT_ID_BYTES);
	snprintf(why, JT_WHY_MAX, "%c%s", tolower((unsigned char)status[0]),
		 status + 1);
}

void jt_intake_tell(const struct jt_intake *in, const struct jt_intake_row *row,
		    uint64_t now_s, char id[JT_ID_BYTES + 1],
		    char why[JT_WHY_MAX])
{
	const struct jt_issue *s = &in->issue;
	const void *text;
	size_t n;

	memset(id, 0, JT_ID_BYTES + 1);
	why[0] = '\0';
	switch ((enum jt_intake_result)row->result) {
	case JT_INTAKE_READY:
	case JT_INTAKE_IMPORTED:
		memcpy(id, s->records[s->n_defs + row->at].token.id,
		       JT_ID_BYTES);
		return;
	case JT_INTAKE_EXISTS:
		tell_card(&in->fold.catalog.cards[in->known.values[row->at].at],
			  now_s, id, why);
		return;
	case JT_INTAKE_DUPLICATE:
		snprintf(why, JT_WHY_MAX, "duplicate of line %" PRIu64,
			 in->rows[row->at].line);
		return;
	default:
		break;
	}
	if (!row->at) {
		strcpy(why, "the row does not hold");
		return;
	}
	text = jt_distinct_get(&in->whys, row->at, &n);
	memcpy(why, text, n);
	why[n] = '\0';
}
