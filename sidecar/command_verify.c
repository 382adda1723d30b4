/*
 * command_verify: the hot path. Arguments to an ask, a verdict to its array.
 *
 * Of the array of 11, everything up to the id depends on the word alone and is
 * a constant; with room for the longest verdict the rest is written straight
 * into the reply, without a check per element.
 *
 *     *11 $N WORD :STATUS | $24 id | :expires :limit :remaining :reset :retry
 *     `---- constant ----'           $N owner | :applied | $N notes
 */
#include "sidecar/command_table.h"

#include <assert.h>
#include <string.h>

#define ARRAY "*11\r\n$"

#define OWNER_MAX 128u /* a longer one is cut; journals hold 48 */

/* Behind ARRAY: digits of the word's length, then REST. */
#define HEAD_COPY 32u
struct head {
	char digits[2];
	char rest[HEAD_COPY - 2];
	uint8_t from; /* 1 when the first digit is not wanted */
	uint8_t bytes;
};

static const struct head heads[JT_WORDS_N] = {
#define REST(name, status) "\r\n" #name "\r\n:" #status "\r\n"
#define X(name, status)                                                        \
	[JT_##name] = {                                                        \
		{'0' + (sizeof(#name) - 1) / 10,                               \
		 '0' + (sizeof(#name) - 1) % 10},                              \
		REST(name, status),                                            \
		sizeof(#name) - 1 < 10,                                        \
		sizeof(REST(name, status)) + 1 - (sizeof(#name) - 1 < 10),     \
	},
	JT_WORDS(X)
#undef X
};

#define X(name, status)                                                        \
	static_assert(sizeof(REST(name, status)) < HEAD_COPY - 1, #name);
JT_WORDS(X)
#undef X

#define NOTES_MAX                                                              \
	(sizeof("OLD_VALUE,EXPIRING,NEVER,SCOPE:") + JT_ASK_SCOPE_BYTES)
static_assert(sizeof(ARRAY) + sizeof(struct head) + 6 * JT_RESP_NUMBER_MAX +
			      3 * (JT_RESP_NUMBER_MAX + 2) + JT_PUBLIC_BYTES +
			      OWNER_MAX + NOTES_MAX + 2 <=
		      JT_VERDICT_MAX,
	      "the longest verdict");

static size_t put_notes(char notes[NOTES_MAX], const struct jt_verdict *v)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} words[] = {
		{JT_NOTE_OLD_VALUE, "OLD_VALUE,"},
		{JT_NOTE_EXPIRING, "EXPIRING,"},
		{JT_NOTE_NEVER, "NEVER,"},
		{JT_NOTE_SCOPE, "SCOPE:"},
	};
	size_t n = 0, bytes = v->scope.bytes;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(v->notes & words[i].bit))
			continue;
		memcpy(notes + n, words[i].word, strlen(words[i].word));
		n += strlen(words[i].word);
	}
	if (!(v->notes & JT_NOTE_SCOPE))
		return n ? n - 1 : 0;
	if (bytes > JT_ASK_SCOPE_BYTES)
		bytes = JT_ASK_SCOPE_BYTES;
	memcpy(notes + n, v->scope.at, bytes);
	return n + bytes;
}

static uint8_t *put_head(uint8_t *to, enum jt_word word)
{
	const struct head *h = &heads[word];

	memcpy(to, ARRAY, sizeof(ARRAY) - 1);
	to += sizeof(ARRAY) - 1;
	/* a fixed length is two moves; what is too much is written over */
	memcpy(to, (const char *)h + h->from, HEAD_COPY);
	return to + h->bytes;
}

static uint8_t *put_id(uint8_t *to, const uint8_t *id)
{
	if (!id) {
		memcpy(to, "$0\r\n\r\n", 6);
		return to + 6;
	}
	memcpy(to, "$24\r\n", 5);
	memcpy(to + 5, id, JT_PUBLIC_BYTES);
	memcpy(to + 5 + JT_PUBLIC_BYTES, "\r\n", 2);
	return to + 5 + JT_PUBLIC_BYTES + 2;
}

static int64_t capped(uint64_t value)
{
	return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static uint8_t *put_verdict(uint8_t *to, const struct jt_verdict *v,
			    uint64_t applied_number,
			    struct jt_command_kept *kept)
{
	size_t owner = v->owner.bytes < OWNER_MAX ? v->owner.bytes : OWNER_MAX;
	char notes[NOTES_MAX];

	to = put_head(to, v->word);
	to = put_id(to, v->id);
	to = jt_resp_put_number(to, ':', capped(v->expires_in_s));
	to = jt_resp_put_kept(to, &kept->limit, v->limit);
	to = jt_resp_put_number(to, ':', v->remaining);
	to = jt_resp_put_number(to, ':', capped(v->reset_ms));
	to = jt_resp_put_number(to, ':', v->retry_after_ms);
	to = jt_resp_put_bulk(to, v->owner.at, owner);
	to = jt_resp_put_kept(to, &kept->applied, capped(applied_number));
	return jt_resp_put_bulk(to, notes, v->notes ? put_notes(notes, v) : 0);
}

void jt_command_verdict(struct jt_out *out, const struct jt_verdict *v,
			uint64_t applied_number, struct jt_command_kept *kept)
{
	uint8_t apart[JT_VERDICT_MAX], *end;

	if (!out->overflow && out->cap - out->len >= JT_VERDICT_MAX) {
		end = put_verdict(out->buf + out->len, v, applied_number, kept);
		out->len = (size_t)(end - out->buf);
		return;
	}
	end = put_verdict(apart, v, applied_number, kept);
	jt_out_bytes(out, apart, (size_t)(end - apart));
}

uint32_t jt_command_plain(const uint8_t *at, size_t len,
			  struct jt_bytes *tokenp)
{
	/* in words of eight bytes; letters of either case, as everywhere */
	static const char head[] = "*2\r\n$6\r\nverify\r\n$64\r\n";
	static const uint8_t letters[] = {0,  0,  0,  0, 0, 0, 0, 0, 32, 32, 32,
					  32, 32, 32, 0, 0, 0, 0, 0, 0,	 0};
	static const uint32_t from[] = {0, 8, sizeof(head) - 1 - 8};
	uint64_t differs = 0, is, want, may;

	static_assert(sizeof(head) - 1 == sizeof(letters), "a mask for each");
	if (len < sizeof(letters) + JT_TOKEN_BYTES + 2)
		return 0;
	for (unsigned i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		memcpy(&is, at + from[i], sizeof(is));
		memcpy(&want, head + from[i], sizeof(want));
		memcpy(&may, letters + from[i], sizeof(may));
		differs |= (is | may) ^ want;
	}
	at += sizeof(letters);
	if (differs || at[JT_TOKEN_BYTES] != '\r' ||
	    at[JT_TOKEN_BYTES + 1] != '\n')
		return 0;
	*tokenp = (struct jt_bytes){at, JT_TOKEN_BYTES};
	return sizeof(letters) + JT_TOKEN_BYTES + 2;
}

const char *jt_command_ask_error(int error)
{
	static const char *const texts[] = {"ERR syntax error",
#define X(name, text) "ERR syntax error: " text,
					    JT_ASK_ERRORS(X)
#undef X
	};

	assert(error >= 0 && (size_t)error < sizeof(texts) / sizeof(texts[0]));
	return texts[error];
}

/* Printable, without the comma that stands between notes. */
static bool scope_ok(struct jt_bytes scope)
{
	if (!scope.bytes || scope.bytes > JT_ASK_SCOPE_BYTES)
		return false;
	for (uint32_t i = 0; i < scope.bytes; i++)
		if (scope.at[i] < '!' || scope.at[i] > '~' ||
		    scope.at[i] == ',')
			return false;
	return true;
}

static bool read_number(struct jt_bytes text, int64_t least, int64_t most,
			uint64_t *valuep)
{
	int64_t value;

	if (!jt_resp_integer(text, &value) || value < least || value > most)
		return false;
	*valuep = (uint64_t)value;
	return true;
}

static int read_scope(struct jt_ask *ask, struct jt_bytes scope,
		      struct jt_bytes scopes[JT_ASK_SCOPES_MAX])
{
	if (!scope_ok(scope))
		return JT_ASK_E_SCOPE;
	if (ask->n_scopes == JT_ASK_SCOPES_MAX)
		return JT_ASK_E_SCOPES;
	scopes[ask->n_scopes++] = scope;
	return JT_ASK_OK;
}

static int read_options(const struct jt_bytes *at, const struct jt_bytes *end,
			struct jt_bytes scopes[JT_ASK_SCOPES_MAX],
			struct jt_ask *ask)
{
	bool env = false, cost = false;
	int error;

	for (; at < end; at += 2) {
		if (end - at < 2)
			return JT_ASK_E_OPTION;
		if (jt_command_is(at[0], "scope")) {
			error = read_scope(ask, at[1], scopes);
			if (error)
				return error;
		} else if (jt_command_is(at[0], "env") && !env) {
			ask->env = jt_env_word((const char *)at[1].at,
					       at[1].bytes);
			ask->env_unknown = ask->env == 0;
			env = true;
		} else if (jt_command_is(at[0], "cost") && !cost) {
			if (!read_number(at[1], 0, UINT32_MAX, &ask->cost))
				return JT_ASK_E_COST;
			cost = true;
		} else {
			return JT_ASK_E_OPTION;
		}
	}
	return JT_ASK_OK;
}

int jt_command_ask(enum jt_command_class class, const struct jt_bytes *args,
		   size_t n_args, struct jt_bytes scopes[JT_ASK_SCOPES_MAX],
		   struct jt_ask *ask, const struct jt_bytes **tokensp,
		   size_t *n_tokensp)
{
	size_t first = class == JT_COMMAND_VERIFY ? 1 : 2;
	uint64_t n = 1;

	if (class == JT_COMMAND_MVERIFY &&
	    (!read_number(args[1], 1, JT_ASK_TOKENS_MAX, &n) ||
	     n > n_args - first))
		return JT_ASK_E_TOKENS;
	*ask = (struct jt_ask){.scopes = scopes, .cost = 1};
	*tokensp = args + first;
	*n_tokensp = n;
	if (first + n == n_args)
		return JT_ASK_OK;
	return read_options(args + first + n, args + n_args, scopes, ask);
}
