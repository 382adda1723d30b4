/*
 * roster_json: tokens as lines of JSON, many of them; see roster_json.c. One
 * process, one thread; takes memory for a row, not for all of them.
 */
#ifndef JT_ADMIN_ROSTER_JSON_H
#define JT_ADMIN_ROSTER_JSON_H

#include "admin/roster.h"

#define JT_JSON_PARTS 6u
#define JT_JSON_SOURCE 7u

/* A part of a row: what it was made of, and its text. */
struct jt_json_part {
	uint64_t source[JT_JSON_SOURCE];
	char *text; /* NULL: none yet */
	size_t bytes, room;
	bool good; /* the text is that of the source */
};

/* The row before; all zero: there was none. */
struct jt_json_row {
	struct jt_json_part parts[JT_JSON_PARTS];
};

/*
 * CARD on stdout, a line. When memory runs out it is left out as a whole, and
 * jt_stdout_close() will say so.
 */
void jt_json_row_put(struct jt_json_row *row, const struct jt_roster *r,
		     const struct jt_card *card);
void jt_json_row_free(struct jt_json_row *row);

#endif
