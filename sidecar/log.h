/*
 * log: one line an event on standard error, never a token, only ids.
 *
 * Plain: under systemd (JOURNAL_STREAM is set) each line bears its priority as
 * "<N>"; on a terminal there is none. JSON: an object a line,
 *   {"time":"2026-11-24T12:00:00.123Z","level":"notice","pid":7,"message":".."}
 * Any process of the daemon.
 */
#ifndef JT_SIDECAR_LOG_H
#define JT_SIDECAR_LOG_H

/* syslog's priorities. */
enum jt_log_level {
	JT_LOG_ALERT = 1,
	JT_LOG_ERROR = 3,
	JT_LOG_WARNING = 4,
	JT_LOG_NOTICE = 5,
	JT_LOG_INFO = 6,
};

enum jt_log_format {
	JT_LOG_PLAIN = 0,
	JT_LOG_JSON,
};

/* From now on, and in children forked from now on. */
void jt_log_format(enum jt_log_format format);

void jt_log(enum jt_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
