/*
 * log: see log.h. One write(2) a line, so that processes do not mix.
 *
 * Text is escaped by hand, since a worker may log and does not allocate, which
 * jansson does.
 */
#include "sidecar/log.h"

#include "admin/label.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT 1024
#define LINE (6 * TEXT + 160) /* each byte as \u00XX, and what is around */

static enum jt_log_format form;

void jt_log_format(enum jt_log_format format)
{
	form = format;
}

static const char *level_name(enum jt_log_level level)
{
	switch (level) {
	case JT_LOG_ALERT:
		return "alert";
	case JT_LOG_ERROR:
		return "error";
	case JT_LOG_WARNING:
		return "warning";
	case JT_LOG_NOTICE:
		return "notice";
	default:
		return "info";
	}
}

/* Bytes that TEXT takes as the inside of a JSON string. */
static size_t escape(const char *text, char *out)
{
	size_t left = strlen(text), at = 0;
	uint32_t point;

	while (left) {
		size_t n = jt_utf8_next(text, left, &point);

		if (n && point >= ' ' && point != '"' && point != '\\') {
			memcpy(out + at, text, n);
			at += n;
		} else if (n) {
			at += (size_t)sprintf(out + at, "\\u%04x", point);
		} else {
			at += (size_t)sprintf(out + at, "\\ufffd");
			n = 1;
		}
		text += n;
		left -= n;
	}
	return at;
}

static size_t write_json(enum jt_log_level level, const char *text, char *line)
{
	struct timespec now;
	struct tm utc;
	char second[32];
	size_t at;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &utc);
	at = (size_t)snprintf(line, LINE,
			      "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\","
			      "\"pid\":%ld,\"message\":\"",
			      second, now.tv_nsec / 1000000, level_name(level),
			      (long)getpid());
	at += escape(text, line + at);
	line[at++] = '"';
	line[at++] = '}';
	return at;
}

static size_t write_plain(enum jt_log_level level, const char *text, char *line)
{
	int at = 0;

	if (getenv("JOURNAL_STREAM"))
		at = snprintf(line, LINE, "<%d>", level);
	at += snprintf(line + at, LINE - (size_t)at, "jetond: %s", text);
	return (size_t)at;
}

void jt_log(enum jt_log_level level, const char *format, ...)
{
	struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
	char text[TEXT], line[LINE + 1];
	size_t at;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0)
		return;
	at = form == JT_LOG_JSON ? write_json(level, text, line)
				 : write_plain(level, text, line);
	line[at++] = '\n';
	/* a full pipe must not stop the daemon; nobody is left to tell */
	if (poll(&err, 1, 0) < 1 || write(STDERR_FILENO, line, at) < 0)
		return;
}
