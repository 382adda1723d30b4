/*
 * resp: the Redis protocol, pure. Bytes in, arguments out; values in, bytes
 * out. No system call, no allocation, no clock; any thread, own state each.
 *
 * Requests: RESP arrays of bulk strings, or inline lines with Redis' quoting.
 * Replies: RESP2 or RESP3, by jt_out.proto.
 * Source: redis.io "Redis serialization protocol specification", and the
 * behaviour of redis-server 7.0 at the edges (tests/test_resp.c).
 */
#ifndef JT_SIDECAR_RESP_H
#define JT_SIDECAR_RESP_H

#include "shm/verify.h"

/* Limits; a breach is JT_RESP_BROKEN as soon as the number has been read. */
#define JT_RESP_BULK_MAX 4096u
#define JT_RESP_ARGS_MAX 64u /* of any command, and of inline ones, but ... */
#define JT_RESP_BATCH_MAX 1024u /* ... MVERIFY as an array; room for `args` */
#define JT_RESP_COMMAND_MAX 131072u
#define JT_RESP_INLINE_MAX 4096u /* with its line end */
#define JT_RESP_LINE_MAX 32u	 /* no count line is longer */

enum jt_resp_result {
	JT_RESP_COMMAND, /* n args; 0 of them: an empty one, skip it */
	JT_RESP_MORE,	 /* wait for bytes */
	JT_RESP_BROKEN,	 /* answer p->error, close; it stays broken */
};

/* One connection's place in an incomplete command. All zero: none. */
struct jt_resp_parser {
	const char *error; /* constant text for jt_out_error() */
	uint32_t at;	   /* bytes of the command understood so far */
	uint32_t want;	   /* no progress before so many bytes are there */
	uint32_t n_args;   /* of the count line; 0: not read yet */
	uint32_t got;	   /* arguments complete */
	uint32_t bulk;	   /* length of the argument under way, when ... */
	bool in_bulk;	   /* ... its count line has been read */
};

/* Between two commands? Then the next byte is the first of one. */
static inline bool jt_resp_is_idle(const struct jt_resp_parser *p)
{
	return !p->at && !p->want && !p->error;
}

/*
 * Take one command from BUF, whose first byte is the first of a command. With
 * JT_RESP_COMMAND, ARGS point into BUF and *CONSUMEDP bytes are done with.
 * With JT_RESP_MORE nothing is consumed: call again with the same bytes, at
 * whatever address, and more behind them. A buffer of JT_RESP_COMMAND_MAX
 * bytes never fills without a result. ARGS: JT_RESP_BATCH_MAX of them.
 * An inline command is unquoted in place.
 */
enum jt_resp_result jt_resp_parse(struct jt_resp_parser *p, uint8_t *buf,
				  size_t len, struct jt_bytes *args,
				  size_t *n_argsp, size_t *consumedp);

/*
 * A strict decimal, as Redis reads them: digits with one `-` at most, no
 * leading zero, no "-0". False: not one, or beyond 64 bits.
 */
bool jt_resp_integer(struct jt_bytes text, int64_t *valuep);

/*
 * Where replies are written. A value that does not fit is left out as a whole,
 * `overflow` is set, and everything after it is left out too: the connection
 * is to be closed. proto: 2 or 3.
 */
struct jt_out {
	uint8_t *buf;
	size_t len, cap;
	int proto;
	bool overflow;
};

/* Constant texts of ours; a control byte in one would be written as a blank. */
void jt_out_simple(struct jt_out *out, const char *text);
void jt_out_error(struct jt_out *out, const char *text);

void jt_out_bytes(struct jt_out *out, const void *at, size_t bytes); /* as is */
void jt_out_bulk(struct jt_out *out, const void *at, size_t bytes);
void jt_out_text(struct jt_out *out, const char *text); /* bulk of a string */
void jt_out_verbatim(struct jt_out *out, const void *at, size_t bytes);
void jt_out_integer(struct jt_out *out, int64_t value);
void jt_out_array(struct jt_out *out, size_t n);
void jt_out_set(struct jt_out *out, size_t n);
void jt_out_map(struct jt_out *out, size_t n_pairs);
void jt_out_null(struct jt_out *out);

/*
 * The same for a writer that has made sure of the room itself: write at TO,
 * return the end. At most JT_RESP_NUMBER_MAX bytes, or that and BYTES + 2.
 */
#define JT_RESP_NUMBER_MAX 23u /* type byte, sign, 19 digits, line end */
uint8_t *jt_resp_put_number(uint8_t *to, char type, int64_t value);

/*
 * A number and how it is written. All zero: none yet. Writing it again is one
 * copy of a fixed length: up to JT_RESP_NUMBER_MAX + 1 bytes, some of them
 * beyond the end.
 */
struct jt_resp_number {
	int64_t value;
	uint32_t bytes;
	uint8_t text[JT_RESP_NUMBER_MAX + 1];
};
uint8_t *jt_resp_put_kept(uint8_t *to, struct jt_resp_number *kept,
			  int64_t value);

uint8_t *jt_resp_put_bulk(uint8_t *to, const void *at, size_t bytes);

#endif
