/*
 * output: how the admin tool speaks.
 *
 * stdout carries answers in one of three styles: a table for eyes on a
 * terminal, tab-separated fields when piped, JSON when asked for. stderr
 * carries everything else, a line at a time: `jeton: WHAT; WHAT TO DO`. No
 * colour. Text that came from a file is escaped, so that it can neither move
 * a cursor nor add a column. One process, one thread.
 */
#ifndef JT_ADMIN_OUTPUT_H
#define JT_ADMIN_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum jt_exit {
	JT_EXIT_DONE = 0,
	JT_EXIT_NO = 1, /* a negative answer */
	JT_EXIT_USAGE = 2,
	JT_EXIT_SIDECAR = 3,  /* unreachable, or not in force */
	JT_EXIT_FILE = 4,     /* journal, file or permission */
	JT_EXIT_ENFORCED = 5, /* in force, not durable */
};

enum jt_style {
	JT_STYLE_TABLE,
	JT_STYLE_TSV,
	JT_STYLE_JSON,
};

enum jt_style jt_style_of(bool json);

/* "jeton: ..." on stderr; returns CODE. */
int jt_fail(int code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for what is no failure. */
void jt_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Write TEXT (zero-padded or BYTES long) with control characters and broken
 * UTF-8 as \xNN; TSV also escapes the backslash, so that it reads back.
 */
void jt_put_text(FILE *out, enum jt_style style, const char *text,
		 size_t bytes);
/* Columns that jt_put_text() takes on a terminal. */
size_t jt_text_width(const char *text, size_t bytes);

/*
 * The same into OUT, without terminator, cut with an ellipsis and filled up
 * with blanks to WIDTH columns. Its bytes, at most JT_CELL_BYTES(BYTES, WIDTH).
 */
#define JT_CELL_BYTES(bytes, width) (4 * (bytes) + (width) + 3)
size_t jt_text_cell(const char *text, size_t bytes, size_t width, char *out);

/*
 * TEXT at a terminal, escaped, broken at blanks so that no line is wider than
 * the terminal, if its words allow it; lines but the first begin with INDENT
 * blanks. *USEDP columns are taken already.
 */
void jt_put_wrapped(FILE *out, const char *text, size_t indent, size_t width,
		    size_t *usedp);

/* Columns of the terminal on stdout; 80 when it does not say. */
size_t jt_terminal_width(void);

/* 24 public characters and a mask: what listings show of a value. */
#define JT_MASK_TEXT 32
void jt_mask(const char id[24], char out[JT_MASK_TEXT]);

/* A JSON string of it; NULL when memory ran out. */
json_t *jt_json_text(const char *text, size_t bytes);

/* One JSON value on a line of its own; takes the reference. */
void jt_put_json(FILE *out, json_t *value);

/* A row was left out for want of memory: jt_stdout_close() will say so. */
void jt_put_lacking(void);

/*
 * A sheet: one thing, a field a line. KEY serves TSV and JSON, LABEL the
 * table; HUMAN, if not NULL, replaces the text there.
 */
struct jt_sheet {
	enum jt_style style;
	json_t *object;
};
void jt_sheet_begin(struct jt_sheet *s, bool json);
void jt_sheet_text(struct jt_sheet *s, const char *key, const char *label,
		   const char *text, const char *human);
void jt_sheet_number(struct jt_sheet *s, const char *key, const char *label,
		     int64_t number, const char *human);
void jt_sheet_flag(struct jt_sheet *s, const char *key, const char *label,
		   bool flag);
void jt_sheet_end(struct jt_sheet *s);

/* Write all of it to a descriptor, past stdio. 0 or negative errno. */
int jt_write_all(int fd, const void *bytes, size_t n);

/* Did everything reach stdout? Flush, sync a file, close: 0 or -errno, once. */
int jt_stdout_close(void);

/* free() that wipes, and its malloc(): JSON passes through them. */
void *jt_wiping_malloc(size_t bytes);
void jt_wiping_free(void *memory);

#endif
