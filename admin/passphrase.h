/*
 * passphrase: typed on the terminal, or the one line of a file.
 *
 * Asked on /dev/tty, not on stdin, with the echo off; what comes out lies in
 * memory of its own that is never swapped and is wiped by free(). Never an
 * argument or an environment variable: other users could read it there. From
 * the first call on the process leaves no core file.
 */
#ifndef JT_ADMIN_PASSPHRASE_H
#define JT_ADMIN_PASSPHRASE_H

#include <stdbool.h>
#include <stddef.h>

#define JT_PASSPHRASE_MIN 12u	/* characters of a new one */
#define JT_PASSPHRASE_MAX 1024u /* bytes of any */

struct jt_passphrase {
	size_t bytes;
	char text[JT_PASSPHRASE_MAX + 3]; /* and a line end, and one more */
};

/*
 * From FILE, or from the terminal when that is NULL. FRESH: one that is to be
 * set, so it is asked for twice and must be long enough. Exit code, reason
 * printed; on 0 the caller frees *PP. Without a terminal it does not wait.
 */
int jt_passphrase_get(const char *file, bool fresh, struct jt_passphrase **pp);
void jt_passphrase_free(struct jt_passphrase *p);

#endif
