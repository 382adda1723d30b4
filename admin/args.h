/*
 * args: the admin tool's command line, taken apart.
 *
 * Options may stand anywhere, as `--name value` or `--name=value`, never
 * abbreviated; `--` ends them. One list gives parser, usage and help. A value
 * that is given must not be empty: an unset shell variable is not "no limit",
 * nor does it make a value of the option behind it; one that begins with two
 * dashes is joined, `--name=--value`.
 */
#ifndef JT_ADMIN_ARGS_H
#define JT_ADMIN_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * X(name, what its value is called or NULL, explanation); an underscore in the
 * name is a dash for the user, at its end nothing (`long` is a word of C).
 */
#define JT_OPTIONS(X)                                                          \
	X(data, "DIR", "where the journal is (JETON_DATA)")                    \
	X(run, "DIR", "where the sockets are (JETON_RUN)")                     \
	X(help, NULL, "explain the verb")                                      \
	X(version, NULL, "print the version")                                  \
	X(json, NULL, "answer in JSON, a line for each thing")                 \
	X(prefix, "P", "how every token begins: 2-4 lower-case letters")       \
	X(expires, "WHEN", "30d, 90d, 6m, 1y, never (4 years), a date")        \
	X(env, "E", "environment, 1-6 of a-z 0-9")                             \
	X(owner, "O", "application or team, up to 48 bytes")                   \
	X(rate, "N/s", "limit: N/s, N/min, N/h or N/day")                      \
	X(burst, "B", "requests at once (default N of the rate)")              \
	X(quota, "N/SPAN", "limit: N/day, N/week, N/month, N/15min, N/36h")    \
	X(plan, "P", "limits of that plan, see plan")                          \
	X(from, "FILE.csv", "make one token a row: name, expires, env, ...")   \
	X(out, "FILE", "write to this new file, not to stdout")                \
	X(offline, NULL, "no sidecar runs, and that is as it should be")       \
	X(name, "GLOB", "tokens whose name fits, like 'CI *'")                 \
	X(status, "S|ID",                                                      \
	  "active, expired, suspended, revoked; rotate: an ID")                \
	X(expiring_within, "SPAN", "tokens that expire within 30d, 12h ...")   \
	X(shorten, NULL, "the new expiry may be earlier than the old one")     \
	X(reason, "TEXT", "why; kept in the audit")                            \
	X(yes, NULL, "do not ask, however many tokens it is")                  \
	X(overlap, "SPAN", "so long the old value works, too (default 24h)")   \
	X(finish, NULL, "end the overlap now")                                 \
	X(force, NULL, "although the last rotation still overlaps")            \
	X(leaked, "FILE", "revoke what stands in there, - for stdin")          \
	X(dead_for, "SPAN", "revoked or expired so long ago")                  \
	X(man, NULL, "everything, as a manual page in mdoc")                   \
	X(max_lifetime, "SPAN", "no token may live longer")                    \
	X(scope, "S", "a scope, like orders:read; may be repeated")            \
	X(cost, "N", "take N from the limit; 0 only looks (default 1)")        \
	X(file, "FILE", "read the token from here, not from stdin")            \
	X(scheme, "S", "sha256-hex, sha256-base64 or sha256-prefixed")         \
	X(dry_run, NULL, "check everything, change nothing")                   \
	X(skip_bad, NULL, "leave bad rows out, take the others")               \
	X(exec, "CMD", "give each event to this shell command on stdin")       \
	X(timeout, "SPAN", "so long CMD may take (default 30s)")               \
	X(thresholds, "DAYS", "days before an expiry (default 60,30,14,7,1)")  \
	X(expect, "NUMBER:TAG", "this receipt must be part of the history")    \
	X(follow, NULL, "go on with what is committed from now on")            \
	X(sort, "KEY", "by name, expires, created (default), used or uses")    \
	X(long_, NULL, "also owner, limits, scopes, uses and marks")           \
	X(within, "SPAN", "30d (default), 12h ...")                            \
	X(days, "N", "for N days (default 90)")                                \
	X(since, "WHEN", "24h or 30d back, a date, or an RFC 3339 time")       \
	X(until, "WHEN", "the same, default now")                              \
	X(id, "ID", "what concerns this token")                                \
	X(recoverable, NULL, "also store the value, sealed, for `jeton copy`") \
	X(passphrase_file, "FILE",                                             \
	  "read the vault's passphrase from its one line")

enum jt_option {
#define X(name, value, text) JT_OPT_##name,
	JT_OPTIONS(X)
#undef X
	JT_OPTIONS_N,
};

#define JT_BIT(name) (UINT64_C(1) << JT_OPT_##name)
/* allowed with every verb */
#define JT_GLOBAL (JT_BIT(data) | JT_BIT(run) | JT_BIT(help) | JT_BIT(version))

#define JT_SCOPES_GIVEN_MAX 16
#define JT_WORDS_GIVEN_MAX 1024

struct jt_args {
	uint64_t given; /* bits of enum jt_option */
#define X(name, value, text) const char *name;
	JT_OPTIONS(X)
#undef X
	const char *scopes[JT_SCOPES_GIVEN_MAX];
	size_t n_scopes;
	const char *words[JT_WORDS_GIVEN_MAX]; /* what is no option */
	size_t n_words;
};

#define JT_WHY_MAX 256

/* False: WHY says what is wrong. No value is ever repeated there. */
bool jt_args_parse(int argc, char **argv, struct jt_args *args,
		   char why[JT_WHY_MAX]);

/* The scopes given, a blank between; false: longer than MAX. */
bool jt_args_scopes(const struct jt_args *args, char *out, size_t max);

/* As the user writes it, without the dashes in front. */
#define JT_OPTION_NAME 24
const char *jt_option_name(enum jt_option o);
const char *jt_option_value(enum jt_option o); /* NULL: takes none */
const char *jt_option_text(enum jt_option o);

/*
 * Does this text hold something that looks like a token's secret? Such an
 * argument stands in the process list and in shell histories.
 */
bool jt_looks_secret(const char *text);

#endif
