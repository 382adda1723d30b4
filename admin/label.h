/*
 * label: what a name or an owner may look like, and UTF-8.
 *
 * Labels end up in listings, headers and logs, so whatever could move a
 * cursor, end a line or turn the reading direction is refused at the door:
 * C0, DEL, C1, line and paragraph separators, bidirectional overrides and
 * isolates, byte order marks. Pure functions, any process.
 */
#ifndef JT_ADMIN_LABEL_H
#define JT_ADMIN_LABEL_H

#include <stddef.h>
#include <stdint.h>

enum {
	JT_LABEL_E_EMPTY = 1,
	JT_LABEL_E_LONG,
	JT_LABEL_E_UTF8,    /* overlong, surrogate, cut off, above U+10FFFF */
	JT_LABEL_E_CONTROL, /* would act on the reader's screen */
};

/* 0 or JT_LABEL_E_*; TEXT needs no terminator and may hold zero bytes. */
int jt_label_check(const char *text, size_t bytes, size_t bytes_max);

/* "is empty", "is longer than 64 bytes" ... for a message. */
void jt_label_why(int e, size_t bytes_max, char *out, size_t out_bytes);

/* Decode one code point; returns its bytes, 0 when not valid UTF-8. */
size_t jt_utf8_next(const char *text, size_t bytes, uint32_t *pointp);

/* May this code point stand in a label or reach a terminal? */
int jt_utf8_printable(uint32_t point);

#endif
