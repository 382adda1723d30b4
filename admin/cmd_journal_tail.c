/*
 * jeton journal tail: the newest records in words, and those to come.
 *
 * Read as all of history is (archive.h), so it does not matter in which file a
 * record stands, nor that a compaction goes by: the path then names another
 * file, which is opened at the record that comes next and must bear the same
 * tag before it. What is shown is durable: a new commit is flushed here first.
 */
#include "admin/archive.h"
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/expiry.h"
#include "admin/limits.h"
#include "admin/record_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LAST 10u
#define BATCH 256u
#define LOOK_MS 100
#define ID_WIDTH 24
#define INDENT 4
#define NUMBER_TEXT 32

struct tail {
	const struct jt_cmd *cmd;
	struct jt_archive history;
	struct jt_record *records;
	enum jt_style style;
	int signals, changes, watch;
};

/* What a record is about: an id, or what it gives a number to. */
static void subject(const struct jt_record *r, char out[NUMBER_TEXT])
{
	switch ((enum jt_record_type)r->type) {
	case JT_REC_PLAN:
		snprintf(out, NUMBER_TEXT, "plan %u", r->plan.number);
		break;
	case JT_REC_SCOPE:
		snprintf(out, NUMBER_TEXT, "scope %u", r->scope.number);
		break;
	case JT_REC_SCOPES:
		snprintf(out, NUMBER_TEXT, "scopes %u", r->scopes.number);
		break;
	case JT_REC_RULES:
	case JT_REC_REASON:
		strcpy(out, "-");
		break;
	case JT_REC_NOTICE:
		snprintf(out, NUMBER_TEXT, "%.*s", JT_ID_BYTES, r->notice.id);
		break;
	default:
		snprintf(out, NUMBER_TEXT, "%.*s", JT_ID_BYTES, r->token.id);
	}
}

/* What it is called, or says. */
static const char *name(const struct jt_record *r, char buf[JT_LIMIT_TEXT],
			size_t *maxp)
{
	struct jt_limit limit = jt_limits_of(&r->plan);

	*maxp = JT_LIMIT_TEXT;
	switch ((enum jt_record_type)r->type) {
	case JT_REC_PLAN:
		*maxp = r->plan.name[0] ? JT_PLAN_MAX : JT_LIMIT_TEXT;
		jt_limits_format(&limit, buf);
		return r->plan.name[0] ? r->plan.name : buf;
	case JT_REC_SCOPE:
		*maxp = JT_SCOPE_MAX;
		return r->scope.name;
	case JT_REC_SCOPES:
		return "";
	case JT_REC_RULES:
		*maxp = sizeof(r->rules.max_lifetime);
		return r->rules.max_lifetime;
	case JT_REC_REASON:
		*maxp = JT_REASON_MAX;
		return r->reason;
	case JT_REC_NOTICE:
		snprintf(buf, JT_LIMIT_TEXT, "%" PRIu32 " days left",
			 r->notice.days);
		return buf;
	default:
		*maxp = JT_NAME_MAX;
		return r->token.name;
	}
}

/* On a terminal the name has a line of its own: eighty columns hold both. */
static void put_below(const char *text, size_t max)
{
	char name[JT_REASON_MAX + 1];
	size_t used = INDENT;

	snprintf(name, sizeof(name), "%.*s", (int)max, text);
	if (!name[0])
		return;
	printf("%*s", INDENT, "");
	jt_put_wrapped(stdout, name, INDENT, jt_terminal_width(), &used);
	putchar('\n');
}

static void put(const struct tail *t, const struct jt_record *r)
{
	char time[JT_TIME_TEXT], about[NUMBER_TEXT], buf[JT_LIMIT_TEXT];
	char op[2 * sizeof(r->op) + 1];
	bool table = t->style == JT_STYLE_TABLE;
	const char *verb = jt_record_verb(r->type);
	const char *text;
	size_t max, width;

	if (t->style == JT_STYLE_JSON) {
		jt_put_json(stdout, jt_record_json(r));
		return;
	}
	jt_time_format(r->time_ns / 1000000000u, time);
	subject(r, about);
	text = name(r, buf, &max);
	sodium_bin2hex(op, sizeof(op), r->op, sizeof(r->op));
	printf(table ? "%s  %-7s  " : "%s\t%s\t", time, verb);
	width = jt_text_width(about, NUMBER_TEXT);
	jt_put_text(stdout, t->style, about, NUMBER_TEXT);
	if (table) {
		printf("%*s  uid %" PRIu32 "  %.8s\n",
		       width < ID_WIDTH ? (int)(ID_WIDTH - width) : 0, "",
		       r->actor_uid, op);
		put_below(text, max);
		return;
	}
	putchar('\t');
	jt_put_text(stdout, t->style, text, max);
	printf("\t%" PRIu32 "\t%s\n", r->actor_uid, op);
}

/* Everything up to the commit. */
static int put_all(struct tail *t, struct jt_fault *faultp)
{
	size_t n;
	int e;

	do {
		e = jt_archive_next(&t->history, t->records, BATCH, &n, faultp);
		for (size_t i = 0; e == 0 && i < n; i++)
			put(t, &t->records[i]);
	} while (e == 0 && n && !ferror(stdout));
	fflush(stdout);
	return e;
}

static int begin(struct tail *t, uint64_t from, struct jt_fault *faultp)
{
	return jt_archive_begin(&t->history, &jt_io_os, t->cmd->paths.data,
				from, faultp);
}

/* Another file: does it go on where we stand? */
static int begin_again(struct tail *t, struct jt_fault *faultp)
{
	struct jt_reader at = t->history.reader;
	int e;

	jt_archive_end(&t->history);
	e = begin(t, at.next, faultp);
	if (e == 0 &&
	    (t->history.first != at.next ||
	     memcmp(t->history.reader.tag, at.tag, JT_TAG_BYTES) != 0))
		e = jt_fault_set(
			faultp, JT_JOURNAL_E_OLD, at.next - 1, 0,
			"the journal was replaced: what follows record "
			"%" PRIu64 " cannot be told",
			at.next - 1);
	return e;
}

/* Only a hint: without it records are shown a look later. */
static void watch(struct tail *t)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", t->cmd->paths.data,
		 JT_JOURNAL_NAME);
	if (t->changes < 0)
		return;
	if (t->watch >= 0)
		inotify_rm_watch(t->changes, t->watch);
	t->watch = inotify_add_watch(t->changes, path, IN_MODIFY | IN_ATTRIB);
}

/* False: Ctrl-C, or nobody reads us any more. */
static bool rest(const struct tail *t)
{
	struct pollfd fds[] = {
		{.fd = t->signals, .events = POLLIN},
		{.fd = t->changes, .events = POLLIN},
		{.fd = STDOUT_FILENO},
	};
	char events[4096];

	if (poll(fds, 3, LOOK_MS) < 0)
		return errno == EINTR;
	while (t->changes >= 0 && read(t->changes, events, sizeof(events)) > 0)
		;
	return !(fds[0].revents & POLLIN) &&
	       !(fds[2].revents & (POLLERR | POLLHUP));
}

static int follow(struct tail *t, struct jt_fault *faultp)
{
	struct jt_journal *j = &t->history.newest;
	int e = 0;

	watch(t);
	while (e == 0 && rest(t)) {
		e = jt_journal_refresh(j, faultp);
		if (e == JT_JOURNAL_E_REPLACED) {
			e = begin_again(t, faultp);
			watch(t);
		}
		if (e == 0 && j->committed.number >= t->history.reader.next)
			e = jt_journal_sync(j);
		if (e == 0)
			e = put_all(t, faultp);
	}
	return e;
}

static void set_up(struct tail *t)
{
	sigset_t set;

	t->signals = t->changes = t->watch = -1;
	/* as of any filter: who closes the pipe has seen enough */
	signal(SIGPIPE, SIG_DFL);
	if (!t->cmd->args.follow)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	t->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

static int run(struct tail *t, struct jt_fault *faultp)
{
	struct jt_journal j;
	uint64_t end;
	int e = jt_journal_open(&j, &jt_io_os, t->cmd->paths.data, faultp);

	if (e)
		return e;
	end = j.committed.number;
	jt_journal_close(&j);
	e = begin(t, end > LAST ? end - LAST + 1 : 1, faultp);
	if (e)
		return e;
	if (t->history.missing[0])
		jt_note("%s", t->history.missing);
	e = put_all(t, faultp);
	if (e == 0 && t->cmd->args.follow)
		e = follow(t, faultp);
	if (t->history.newest.io)
		jt_archive_end(&t->history);
	return e;
}

int jt_cmd_journal_tail(const struct jt_cmd *cmd)
{
	struct tail t = {.cmd = cmd, .style = jt_style_of(cmd->json)};
	struct jt_fault fault = {0};
	int e;

	t.records = calloc(BATCH, sizeof(*t.records));
	if (!t.records)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	set_up(&t);
	e = run(&t, &fault);
	free(t.records);
	if (e < 0 && !fault.line[0])
		return jt_fail(JT_EXIT_FILE, "journal: %s", strerror(-e));
	return e ? jt_journal_refusal(e, &fault) : 0;
}
