/*
 * courier: a line of text to a command of the user's.
 *
 * The command is one string for `/bin/sh -c`. It gets the text on stdin; its
 * stdout and stderr are our stderr; of our other descriptors it has none; its
 * signals are as at a login. It leads a process group of its own, which is
 * killed when it has not ended in time. One thread.
 */
#ifndef JT_ADMIN_COURIER_H
#define JT_ADMIN_COURIER_H

#include "admin/args.h"

/* TEXT: at most so long, for it must fit into an empty pipe. */
#define JT_COURIER_TEXT 4096u

/* True: it ended with 0 within TIMEOUT_MS. False: WHY. */
bool jt_courier_give(const char *command, const char *text, size_t bytes,
		     int timeout_ms, char why[JT_WHY_MAX]);

#endif
