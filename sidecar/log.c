/* log: see log.h. One write(2) a line, so that processes do not mix. */
#include "sidecar/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE 1024

void jt_log(enum jt_log_level level, const char *format, ...)
{
	struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[LINE];
	int at = 0, n;
	va_list args;

	if (getenv("JOURNAL_STREAM"))
		at = snprintf(line, sizeof(line), "<%d>", level);
	at += snprintf(line + at, sizeof(line) - (size_t)at, "jetond: ");
	va_start(args, format);
	n = vsnprintf(line + at, sizeof(line) - (size_t)at - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	at += n < LINE - at - 1 ? n : LINE - at - 2;
	line[at++] = '\n';
	/* a full pipe must not stop the daemon; nobody is left to tell */
	if (poll(&err, 1, 0) < 1 || write(STDERR_FILENO, line, (size_t)at) < 0)
		return;
}
