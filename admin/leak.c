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

struct leak {
	char ids[IDS_MAX][JT_ID_BYTES + 1];
	uint8_t digests[IDS_MAX][JT_DIGEST_BYTES];
	size_t n;
	bool more; /* than IDS_MAX */
	char prefix[8];
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

/* Keep of L what is a value of ours; tell of ids with another secret. */
static int sift(struct leak *l, const struct jt_cmd *cmd)
{
	static struct jt_found f;
	struct jt_fault fault = {0};
	struct jt_control control;
	struct jt_journal j;
	size_t kept = 0;
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	(void)jt_control_connect(&control, cmd->paths.data, JT_CONTROL_WAIT_MS);
	for (size_t i = 0; e == 0 && i < l->n; i++) {
		e = jt_lookup(&j, &control, l->ids[i], &f, &fault);
		if (e || !f.exists)
			continue;
		if (memcmp(f.newest.token.digest, l->digests[i],
			   JT_DIGEST_BYTES) == 0) {
			memcpy(l->ids[kept++], l->ids[i], JT_ID_BYTES + 1);
			continue;
		}
		jt_note("%.24s is a token of ours, but this is not its value "
			"now (an old one, or made up); not revoked",
			l->ids[i]);
	}
	jt_control_close(&control);
	jt_journal_close(&j);
	l->n = kept;
	return e ? jt_journal_refusal(e, &fault) : 0;
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
	struct jt_amend_verb named = *verb;
	const char *ids[IDS_MAX];
	struct jt_cmd of = *cmd;
	struct leak *l;
	int e;

	if (cmd->n_operands)
		return jt_fail(JT_EXIT_USAGE, "give ids or --leaked, not both");
	l = calloc(1, sizeof(*l));
	if (!l)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	e = read_prefix(l, cmd);
	if (e == 0)
		e = read_all(l, cmd->args.leaked);
	if (e == 0)
		e = sift(l, cmd);
	if (e == 0 && l->n == 0)
		e = jt_fail(JT_EXIT_NO, "no value of a token of ours stands in "
					"there; nothing was changed");
	for (size_t i = 0; i < l->n; i++)
		ids[i] = l->ids[i];
	of.operands = ids;
	of.n_operands = l->n;
	of.args.yes = "yes"; /* who leaks is not asked about */
	named.choice = 0;
	if (e == 0)
		e = jt_amend(&of, &named, NULL);
	if (l->more)
		jt_note("there are more than %u values in it; run it again",
			IDS_MAX);
	free(l);
	return e;
}
