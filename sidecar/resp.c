/*
 * resp: see resp.h.
 *
 * Split invariance: every decision is a function of a prefix of the command's
 * bytes, never of where a read ended. Bytes are looked at in order; a count
 * line is at most 32 bytes and is simply read again when it grows, a bulk is
 * skipped by its length, an inline line remembers how far it was searched. So
 * one byte at a time costs O(bytes), not O(bytes^2).
 *
 * A command that was there in one piece has its arguments set in that one
 * pass. For one that came in pieces the buffer may have moved in between, and
 * keeping 1,024 positions per connection would cost more than the walk: when
 * its last byte is there it is read once more from the start, count line to
 * count line.
 *
 * No line is searched beyond JT_RESP_COMMAND_MAX, so a buffer of that size
 * ends every command, one way or the other.
 */
#include "sidecar/resp.h"

#include <assert.h>
#include <string.h>

#define BROKEN(p, text) broken(p, "ERR Protocol error: " text)

static enum jt_resp_result broken(struct jt_resp_parser *p, const char *error)
{
	p->error = error;
	return JT_RESP_BROKEN;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

enum line {
	LINE_DONE,
	LINE_MORE,
	LINE_FULL, /* it would reach beyond JT_RESP_COMMAND_MAX */
	LINE_BAD,
};

/* More digits are far above every limit, so no count line gets long. */
#define COUNT_DIGITS 9
static_assert(1 + 1 + COUNT_DIGITS + 2 <= JT_RESP_LINE_MAX, "count line");

/* The number of a count line whose type byte is at AT; *ENDP: behind it. */
static enum line read_count(const uint8_t *buf, size_t len, size_t at,
			    int32_t *valuep, size_t *endp)
{
	size_t end = least(len, JT_RESP_COMMAND_MAX), i = at + 1, first;
	bool minus = i < end && buf[i] == '-';
	int32_t value = 0;

	first = i += minus;
	for (; i < end && buf[i] >= '0' && buf[i] <= '9'; i++) {
		if (i - first == COUNT_DIGITS || (i > first && value == 0))
			return LINE_BAD;
		value = value * 10 + (buf[i] - '0');
	}
	if (i < end && (buf[i] != '\r' || i == first || (minus && !value)))
		return LINE_BAD;
	if (i + 1 >= end)
		return end == JT_RESP_COMMAND_MAX ? LINE_FULL : LINE_MORE;
	if (buf[i + 1] != '\n')
		return LINE_BAD;
	*valuep = minus ? -value : value;
	*endp = i + 2;
	return LINE_DONE;
}

static enum jt_resp_result more(struct jt_resp_parser *p, size_t want)
{
	p->want = (uint32_t)want;
	return JT_RESP_MORE;
}

static enum jt_resp_result read_array_head(struct jt_resp_parser *p,
					   const uint8_t *buf, size_t len)
{
	int32_t n = 0;
	size_t end = 0;

	switch (read_count(buf, len, 0, &n, &end)) {
	case LINE_MORE:
		return more(p, len + 1);
	case LINE_FULL:
		return BROKEN(p, "too big command");
	case LINE_BAD:
		return BROKEN(p, "invalid multibulk length");
	case LINE_DONE:
		break;
	}
	if (n > (int32_t)JT_RESP_BATCH_MAX)
		return BROKEN(p, "invalid multibulk length");
	p->n_args = n < 0 ? 0 : (uint32_t)n;
	p->at = (uint32_t)end;
	return JT_RESP_COMMAND;
}

static enum jt_resp_result read_bulk_head(struct jt_resp_parser *p,
					  const uint8_t *buf, size_t len)
{
	int32_t n = 0;
	size_t end = 0;

	if (p->at >= JT_RESP_COMMAND_MAX)
		return BROKEN(p, "too big command");
	if (p->at >= len)
		return more(p, p->at + 1);
	if (buf[p->at] != '$')
		return BROKEN(p, "expected '$'");
	switch (read_count(buf, len, p->at, &n, &end)) {
	case LINE_MORE:
		return more(p, len + 1);
	case LINE_FULL:
		return BROKEN(p, "too big command");
	case LINE_BAD:
		return BROKEN(p, "invalid bulk length");
	case LINE_DONE:
		break;
	}
	if (n < 0 || n > (int32_t)JT_RESP_BULK_MAX)
		return BROKEN(p, "invalid bulk length");
	if (end + (uint32_t)n + 2 > JT_RESP_COMMAND_MAX)
		return BROKEN(p, "too big command");
	p->at = (uint32_t)end;
	p->bulk = (uint32_t)n;
	p->in_bulk = true;
	return JT_RESP_COMMAND;
}

static bool is_batch(const uint8_t *name, size_t bytes)
{
	static const char mverify[] = "mverify";

	if (bytes != sizeof(mverify) - 1)
		return false;
	for (size_t i = 0; i < bytes; i++)
		if ((name[i] | 0x20) != mverify[i])
			return false;
	return true;
}

static enum jt_resp_result read_bulk(struct jt_resp_parser *p,
				     const uint8_t *buf, size_t len,
				     struct jt_bytes *arg)
{
	const uint8_t *at = buf + p->at;

	if (p->at + p->bulk + 2 > len)
		return more(p, p->at + p->bulk + 2);
	if (at[p->bulk] != '\r' || at[p->bulk + 1] != '\n')
		return BROKEN(p, "expected a line end behind a bulk");
	if (!p->got && p->n_args > JT_RESP_ARGS_MAX && !is_batch(at, p->bulk))
		return BROKEN(p, "too many arguments");
	*arg = (struct jt_bytes){at, p->bulk};
	p->at += p->bulk + 2;
	p->got++;
	p->in_bulk = false;
	return JT_RESP_COMMAND;
}

/* JT_RESP_COMMAND of the helpers above means: go on. */
static enum jt_resp_result read_array(struct jt_resp_parser *p,
				      const uint8_t *buf, size_t len,
				      struct jt_bytes *args)
{
	enum jt_resp_result r;

	if (!p->at) {
		r = read_array_head(p, buf, len);
		if (r != JT_RESP_COMMAND)
			return r;
	}
	while (p->got < p->n_args) {
		if (!p->in_bulk) {
			r = read_bulk_head(p, buf, len);
			if (r != JT_RESP_COMMAND)
				return r;
		}
		r = read_bulk(p, buf, len, &args[p->got]);
		if (r != JT_RESP_COMMAND)
			return r;
	}
	return JT_RESP_COMMAND;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool ends_word(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape at *ATP, behind its backslash, with N bytes there. */
static uint8_t unescape(const uint8_t **atp, size_t n)
{
	static const char names[] = "nrtba", bytes[] = "\n\r\t\b\a";
	const uint8_t *at = *atp;
	const char *hit;

	if (at[0] == 'x' && n > 2 && hex_digit(at[1]) >= 0 &&
	    hex_digit(at[2]) >= 0) {
		*atp = at + 3;
		return (uint8_t)(hex_digit(at[1]) * 16 + hex_digit(at[2]));
	}
	*atp = at + 1;
	hit = at[0] ? strchr(names, at[0]) : NULL;
	return hit ? (uint8_t)bytes[hit - names] : at[0];
}

/*
 * Unquote the word at *ATP in place: what is written never overtakes what is
 * read. False: a quote is not closed, or not followed by a blank.
 */
static bool unquote(uint8_t **atp, const uint8_t *end, struct jt_bytes *wordp)
{
	const uint8_t *at = *atp;
	uint8_t *to = *atp;
	uint8_t quote = 0;

	wordp->at = to;
	while (at < end && (quote || !ends_word(*at))) {
		uint8_t c = *at++;

		if (quote && c == quote) {
			quote = 0;
			if (at < end && !is_space(*at))
				return false;
			break; /* a closing quote ends the word */
		} else if (quote == '"' && c == '\\' && at < end) {
			*to++ = unescape(&at, (size_t)(end - at));
		} else if (quote && c == '\\' && at < end && *at == quote) {
			*to++ = *at++;
		} else if (!quote && (c == '"' || c == '\'')) {
			quote = c;
		} else {
			*to++ = c;
		}
	}
	wordp->bytes = (uint32_t)(to - wordp->at);
	*atp += at - *atp;
	return !quote;
}

/* A batch in one line would not even hold 64 tokens: 64 words for all. */
static enum jt_resp_result split_line(struct jt_resp_parser *p, uint8_t *at,
				      const uint8_t *end, struct jt_bytes *args)
{
	for (;;) {
		while (at < end && is_space(*at))
			at++;
		if (at == end)
			return JT_RESP_COMMAND;
		if (p->got == JT_RESP_ARGS_MAX)
			return BROKEN(p, "too many arguments");
		if (!unquote(&at, end, &args[p->got]))
			return BROKEN(p, "unbalanced quotes in request");
		p->got++;
	}
}

static enum jt_resp_result read_inline(struct jt_resp_parser *p, uint8_t *buf,
				       size_t len, struct jt_bytes *args)
{
	size_t end = least(len, JT_RESP_INLINE_MAX);
	const uint8_t *lf = memchr(buf + p->at, '\n', end - p->at);

	if (!lf && end == JT_RESP_INLINE_MAX)
		return BROKEN(p, "too big inline request");
	p->at = (uint32_t)(lf ? (size_t)(lf - buf) + 1 : end);
	if (!lf)
		return more(p, len + 1);
	return split_line(p, buf, lf, args);
}

enum jt_resp_result jt_resp_parse(struct jt_resp_parser *p, uint8_t *buf,
				  size_t len, struct jt_bytes *args,
				  size_t *n_argsp, size_t *consumedp)
{
	enum jt_resp_result r;
	bool resumed = p->at > 0, array;

	*n_argsp = *consumedp = 0;
	if (p->error)
		return JT_RESP_BROKEN;
	if (len == 0 || len < p->want)
		return JT_RESP_MORE;
	/* now: an inline command is unquoted in place, and may begin with `*`
	 * afterwards */
	array = buf[0] == '*';
	r = array ? read_array(p, buf, len, args)
		  : read_inline(p, buf, len, args);
	if (r != JT_RESP_COMMAND)
		return r;
	if (resumed && array) {
		*p = (struct jt_resp_parser){0};
		r = read_array(p, buf, len, args);
		assert(r == JT_RESP_COMMAND);
	}
	*n_argsp = p->got;
	*consumedp = p->at;
	*p = (struct jt_resp_parser){0};
	return JT_RESP_COMMAND;
}

bool jt_resp_integer(struct jt_bytes text, int64_t *valuep)
{
	bool minus = text.bytes && text.at[0] == '-';
	uint64_t limit = (uint64_t)INT64_MAX + minus, value = 0;
	uint32_t first = minus;

	if (text.bytes == first || text.bytes > first + 19)
		return false;
	if (text.at[first] == '0' && text.bytes > 1)
		return false;
	for (uint32_t i = first; i < text.bytes; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text.at[i] - '0');
	}
	if (value > limit)
		return false;
	*valuep = minus ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

/* Writers */

static const char pairs[] = "00010203040506070809"
			    "10111213141516171819"
			    "20212223242526272829"
			    "30313233343536373839"
			    "40414243444546474849"
			    "50515253545556575859"
			    "60616263646566676869"
			    "70717273747576777879"
			    "80818283848586878889"
			    "90919293949596979899";

static size_t count_digits(uint64_t v)
{
	size_t n = 1;

	for (; v >= 10000; v /= 10000)
		n += 4;
	return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

/* Counted first and written from the right, so in place and in one go. */
uint8_t *jt_resp_put_number(uint8_t *to, char type, int64_t value)
{
	uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	uint8_t *end;

	*to++ = (uint8_t)type;
	if (value < 0)
		*to++ = '-';
	if (v < 10) {
		*to++ = (uint8_t)('0' + v);
		memcpy(to, "\r\n", 2);
		return to + 2;
	}
	to += count_digits(v);
	end = to + 2;
	memcpy(to, "\r\n", 2);
	for (; v >= 100; v /= 100)
		memcpy(to -= 2, pairs + v % 100 * 2, 2);
	if (v >= 10)
		memcpy(to - 2, pairs + v * 2, 2);
	else
		to[-1] = (uint8_t)('0' + v);
	return end;
}

uint8_t *jt_resp_put_kept(uint8_t *to, struct jt_resp_number *kept,
			  int64_t value)
{
	if (kept->value != value || !kept->bytes) {
		kept->value = value;
		kept->bytes =
			(uint32_t)(jt_resp_put_number(kept->text, ':', value) -
				   kept->text);
	}
	memcpy(to, kept->text, sizeof(kept->text));
	return to + kept->bytes;
}

uint8_t *jt_resp_put_bulk(uint8_t *to, const void *at, size_t bytes)
{
	to = jt_resp_put_number(to, '$', (int64_t)bytes);
	if (bytes)
		memcpy(to, at, bytes);
	memcpy(to + bytes, "\r\n", 2);
	return to + bytes + 2;
}

static uint8_t *room(struct jt_out *out, size_t bytes)
{
	if (!out->overflow && bytes <= out->cap - out->len)
		return out->buf + out->len;
	out->overflow = true;
	return NULL;
}

void jt_out_bytes(struct jt_out *out, const void *at, size_t bytes)
{
	uint8_t *to = room(out, bytes);

	if (!to || !bytes)
		return;
	memcpy(to, at, bytes);
	out->len += bytes;
}

static void put_line(struct jt_out *out, char type, const char *text)
{
	size_t n = strlen(text);
	uint8_t *to = room(out, n + 3);

	if (!to)
		return;
	*to++ = (uint8_t)type;
	for (size_t i = 0; i < n; i++)
		*to++ = (uint8_t)text[i] < ' ' ? ' ' : (uint8_t)text[i];
	memcpy(to, "\r\n", 2);
	out->len += n + 3;
}

void jt_out_simple(struct jt_out *out, const char *text)
{
	put_line(out, '+', text);
}

void jt_out_error(struct jt_out *out, const char *text)
{
	put_line(out, '-', text);
}

static void put_number(struct jt_out *out, char type, int64_t value)
{
	uint8_t line[JT_RESP_NUMBER_MAX];
	uint8_t *end = jt_resp_put_number(line, type, value);

	jt_out_bytes(out, line, (size_t)(end - line));
}

/* A length, LEAD, the bytes and a line end, all or nothing. */
static void put_blob(struct jt_out *out, char type, const char *lead,
		     const void *at, size_t bytes)
{
	size_t n = strlen(lead), head;
	uint8_t line[JT_RESP_NUMBER_MAX], *to;

	head = (size_t)(jt_resp_put_number(line, type, (int64_t)(n + bytes)) -
			line);
	to = bytes > out->cap ? room(out, bytes)
			      : room(out, head + n + bytes + 2);
	if (!to)
		return;
	jt_out_bytes(out, line, head);
	jt_out_bytes(out, lead, n);
	jt_out_bytes(out, at, bytes);
	jt_out_bytes(out, "\r\n", 2);
}

void jt_out_bulk(struct jt_out *out, const void *at, size_t bytes)
{
	put_blob(out, '$', "", at, bytes);
}

void jt_out_text(struct jt_out *out, const char *text)
{
	put_blob(out, '$', "", text, strlen(text));
}

void jt_out_verbatim(struct jt_out *out, const void *at, size_t bytes)
{
	if (out->proto == 3)
		put_blob(out, '=', "txt:", at, bytes);
	else
		put_blob(out, '$', "", at, bytes);
}

void jt_out_integer(struct jt_out *out, int64_t value)
{
	put_number(out, ':', value);
}

void jt_out_array(struct jt_out *out, size_t n)
{
	put_number(out, '*', (int64_t)n);
}

void jt_out_set(struct jt_out *out, size_t n)
{
	put_number(out, out->proto == 3 ? '~' : '*', (int64_t)n);
}

void jt_out_map(struct jt_out *out, size_t n_pairs)
{
	if (out->proto == 3)
		put_number(out, '%', (int64_t)n_pairs);
	else
		put_number(out, '*', (int64_t)n_pairs * 2);
}

void jt_out_null(struct jt_out *out)
{
	if (out->proto == 3)
		jt_out_bytes(out, "_\r\n", 3);
	else
		jt_out_bytes(out, "$-1\r\n", 5);
}
