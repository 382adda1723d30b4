/*
 * leak: see leak.h.
 *
 * The text is read in pieces that overlap by one byte less than a token, so
 * that a value across two pieces is found. A value is 64 characters of our
 * shape with its checksum right; what stands around it does not matter, the
 * digest decides. Memory that held text is wiped.
 */
#include "admin/leak.h"
#include "shm/token.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 65536u
#define IDS_MAX 1000u

/* What a text of our shape is to the token whose id it bears. */
enum what {
	NO_VALUE,
	OLD_VALUE, /* the one before the rotation, in its overlap */
	VALUE,
};

struct leak {
	char ids[IDS_MAX][JT_ID_BYTES + 1];
	uint8_t digests[IDS_MAX][JT_DIGEST_BYTES];
	size_t n;
	bool more; /* than IDS_MAX */
	char prefix[8];
	const char *ours[IDS_MAX]; /* whose values work, each once */
	size_t n_ours;
	const struct jt_amend_verb *verb; /* revoke, of named tokens */
};

static bool is_known(const struct leak *l, const uint8_t *digest)
{
	for (size_t i = 0; i < l->n; i++)
		if (memcmp(l->digests[i], digest, JT_DIGEST_BYTES) == 0)
			return true;
	return false;
}

static void found(struct leak *l, const char *value)
{
	uint8_t digest[JT_DIGEST_BYTES];

	jt_token_digest((const uint8_t *)value, digest);
	if (is_known(l, digest))
		return;
	if (l->n == IDS_MAX) {
		l->more = true;
		return;
	}
	memcpy(l->ids[l->n], value, JT_ID_BYTES);
	memcpy(l->digests[l->n++], digest, sizeof(digest));
}

static void scan(struct leak *l, const char *text, size_t n)
{
	for (size_t i = 0; i + JT_TOKEN_BYTES <= n; i++) {
		const uint8_t *at = (const uint8_t *)text + i;

		if (!jt_token_is_native(at, JT_TOKEN_BYTES, l->prefix) ||
		    jt_token_shape(at, JT_TOKEN_BYTES) != JT_SHAPE_NATIVE)
			continue;
		found(l, (const char *)at);
	}
}

static int read_all(struct leak *l, const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = sodium_malloc(PIECE + JT_TOKEN_BYTES);
	size_t have = 0, n;
	int e = 0;

	if (!in || !text) {
		e = jt_fail(JT_EXIT_FILE, "%s: %s", path, strerror(errno));
		goto out;
	}
	setvbuf(in, NULL, _IONBF, 0);
	while ((n = fread(text + have, 1, PIECE, in)) > 0) {
		have += n;
		scan(l, text, have);
		if (have < JT_TOKEN_BYTES)
			continue;
		memmove(text, text + have - (JT_TOKEN_BYTES - 1),
			JT_TOKEN_BYTES - 1);
		have = JT_TOKEN_BYTES - 1;
	}
	if (ferror(in))
		e = jt_fail(JT_EXIT_FILE, "%s: %s", path, strerror(errno));
out:
	if (text)
		sodium_free(text);
	if (in && in != stdin)
		fclose(in);
	return e;
}

/* Is that the digest of the value before, and does it still let anybody in? */
static bool is_old_value(struct jt_journal *j, const struct jt_found *f,
			 const uint8_t *digest, uint64_t now_s)
{
	struct jt_fault ignored;
	struct jt_record r;

	if (f->card.type == JT_REC_REVOKE || now_s >= f->card.old_until_s)
		return false;
	if (f->look.last) /* a keeper answered */
		return memcmp(f->look.old_digest, digest, JT_DIGEST_BYTES) == 0;
	return f->card.old_value &&
	       jt_journal_read(j, f->card.old_value, &r, 1, &ignored) == 0 &&
	       memcmp(r.token.digest, digest, JT_DIGEST_BYTES) == 0;
}

static enum what classify(struct jt_journal *j, const struct jt_found *f,
			  const uint8_t *digest, uint64_t now_s)
{
	if (memcmp(f->newest.token.digest, digest, JT_DIGEST_BYTES) == 0)
		return VALUE;
	return is_old_value(j, f, digest, now_s) ? OLD_VALUE : NO_VALUE;
}

/* The most that was found of the token F. */
static enum what worst(const struct leak *l, struct jt_journal *j,
		       const struct jt_found *f, uint64_t now_s)
{
	enum what most = NO_VALUE, is;

	for (size_t i = 0; i < l->n && most != VALUE; i++) {
		if (memcmp(l->ids[i], f->card.id, JT_ID_BYTES) != 0)
			continue;
		is = classify(j, f, l->digests[i], now_s);
		most = is > most ? is : most;
	}
	return most;
}

static bool is_listed(const struct leak *l, const char *id)
{
	for (size_t i = 0; i < l->n_ours; i++)
		if (memcmp(l->ours[i], id, JT_ID_BYTES) == 0)
			return true;
	return false;
}

/* List whose values these are; tell of ids with another secret. */
static int sift(struct leak *l, const struct jt_cmd *cmd)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	static struct jt_found f;
	struct jt_fault fault = {0};
	struct jt_control control;
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	(void)jt_control_connect(&control, cmd->paths.data, JT_CONTROL_WAIT_MS);
	for (size_t i = 0; e == 0 && i < l->n; i++) {
		e = jt_lookup(&j, &control, l->ids[i], &f, &fault);
		if (e || !f.exists)
			continue;
		if (classify(&j, &f, l->digests[i], now_s) != NO_VALUE) {
			if (!is_listed(l, l->ids[i]))
				l->ours[l->n_ours++] = l->ids[i];
			continue;
		}
		jt_note("%.24s is a token of ours, but this is not its value "
			"now (an old one, or made up); not revoked",
			l->ids[i]);
	}
	jt_control_close(&control);
	jt_journal_close(&j);
	return e ? jt_journal_refusal(e, &fault) : 0;
}

/*
 * Under the lock it is looked at again: of a token that was rotated, perhaps
 * only now, the value before may have leaked and not the new one. Then that one
 * ends, and who was given the new one goes on.
 */
static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	const struct leak *l = a->own;

	switch (worst(l, &a->change.journal, f, a->now_s)) {
	case VALUE:
		return l->verb->one(a, f, r);
	case OLD_VALUE:
		r->type = JT_REC_FINISH;
		r->token.old_until_s = (uint32_t)a->now_s;
		jt_note("%.24s: the value before its rotation leaked; its "
			"overlap was ended, the new value works on",
			f->card.id);
		return 0;
	default:
		return JT_AMEND_SAME;
	}
}

static int read_prefix(struct leak *l, const struct jt_cmd *cmd)
{
	struct jt_fault fault = {0};
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	memcpy(l->prefix, j.prefix, sizeof(l->prefix));
	jt_journal_close(&j);
	return 0;
}

int jt_leak_revoke(const struct jt_cmd *cmd, const struct jt_amend_verb *verb)
{
	struct jt_amend_verb leaked = *verb;
	struct jt_cmd of = *cmd;
	struct leak *l;
	int e;

	if (cmd->n_operands)
		return jt_fail(JT_EXIT_USAGE, "give ids or --leaked, not both");
	l = calloc(1, sizeof(*l));
	if (!l)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	l->verb = verb;
	e = read_prefix(l, cmd);
	if (e == 0)
		e = read_all(l, cmd->args.leaked);
	if (e == 0)
		e = sift(l, cmd);
	if (e == 0 && l->n_ours == 0)
		e = jt_fail(JT_EXIT_NO,
			    "no value of a token of ours that works "
			    "stands in there; nothing was changed");
	of.operands = l->ours;
	of.n_operands = l->n_ours;
	of.args.yes = "yes"; /* who leaks is not asked about */
	leaked.choice = 0;
	leaked.one = one;
	if (e == 0)
		e = jt_amend(&of, &leaked, l);
	if (l->more)
		jt_note("there are more than %u values in it; run it again",
			IDS_MAX);
	free(l);
	return e;
}
