/*
 * control: the words between the admin tool and a running keeper.
 *
 * Socket `jeton-control.sock` (mode 0600) in the run directory; its path also
 * stands in DATA/serving.lock, which the keeper holds locked while it serves.
 * One request line, one reply line, both ended by '\n', at most
 * JT_CONTROL_LINE bytes; any number of requests on one connection, in order.
 *
 *   SYNC number             OK applied        once every record up to number
 *                                             is in force
 *   FIT at tokens plans owner_bytes
 *                           OK                the table, having applied `at`,
 *                                             takes that many more
 *   PLAN at rate period_ns burst
 *                           OK number next    number 0: no such plan; next:
 *                                             the number a new one gets
 *   LOOK id                 OK first last plan uses refusals last_use_s
 *                                             record numbers of the id's first
 *                                             and newest record and of its
 *                                             plan (0: none), then its meter
 *   STATUS                  OK {...}          one line of JSON
 *
 * Refusals: "ERR WORD sentence"; WORD is FULL, NOTFOUND, RED (the journal
 * cannot be trusted or flushed; the sentence says why), TIMEOUT or USAGE.
 */
#ifndef JT_ADMIN_CONTROL_H
#define JT_ADMIN_CONTROL_H

#include "admin/record.h"
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define JT_CONTROL_NAME "jeton-control.sock"
#define JT_SERVING_NAME "serving.lock"
#define JT_CONTROL_LINE 16384

enum {
	JT_CONTROL_E_NOT_SERVING = 1, /* no keeper holds the serving lock */
	JT_CONTROL_E_UNREACHABLE,     /* a keeper serves but does not answer */
	JT_CONTROL_E_FULL,
	JT_CONTROL_E_NOTFOUND,
	JT_CONTROL_E_REFUSED, /* RED, TIMEOUT, USAGE: see the line */
};

struct jt_control {
	int fd;
	unsigned timeout_ms;	    /* for each reply */
	char line[JT_CONTROL_LINE]; /* last reply, or why there was none */
};

struct jt_look {
	uint64_t first, last, plan;
	uint64_t uses, refusals, last_use_s;
};

/*
 * Connect to the keeper that serves DATA: its lock file says where, whatever
 * run directory the caller was given, so that nobody asks the keeper of
 * another journal. Not serving is E_NOT_SERVING.
 */
int jt_control_connect(struct jt_control *c, const char *data,
		       unsigned timeout_ms);
void jt_control_close(struct jt_control *c);

/* Directory of the sockets of who serves DATA; false: nobody, or unknown. */
bool jt_control_where(const char *data, char dir[PATH_MAX]);

int jt_control_sync(struct jt_control *c, uint64_t number);
int jt_control_fit(struct jt_control *c, uint64_t at, uint64_t tokens,
		   uint64_t plans, uint64_t owner_bytes);
int jt_control_plan(struct jt_control *c, uint64_t at, uint64_t rate,
		    uint64_t period_ns, uint64_t burst, uint16_t *numberp,
		    uint16_t *nextp);
int jt_control_look(struct jt_control *c, const char id[JT_ID_BYTES],
		    struct jt_look *lookp);
/* The JSON text stands in c->line + 3. */
int jt_control_status(struct jt_control *c);

#endif
