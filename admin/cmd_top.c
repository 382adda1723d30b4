/*
 * jeton top: what is used and refused most, as it happens.
 *
 * The keeper compares all counts (TOP, STATUS); ids and names are read from the
 * journal by record number. On a terminal the screen is written anew each
 * second; elsewhere there is one answer, about one second.
 */
#include "admin/change.h"
#include "admin/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ROWS 10u    /* of an answer that is no screen */
#define AROUND 7u   /* lines of a screen that are no rows */
#define HEIGHT 24u  /* of a terminal that does not say */
#define NUMBERS 28u /* columns beside id and name */
#define VERDICTS_MAX 32u
#define EVERY_MS 1000
#define CLEAR "\033[H\033[2J"

struct verdict {
	char word[32];
	uint64_t count, more;
};

/* One look. Verdicts are compared with the look before. */
struct view {
	struct jt_top top;
	struct verdict verdicts[VERDICTS_MAX];
	size_t n_verdicts;
	uint64_t tokens;
	uint64_t at_ns;
	double span_s; /* of the verdicts; 0: nothing to compare with */
	struct jt_journal journal;
	bool readable; /* the journal is */
};

struct who {
	char id[JT_ID_BYTES + 1];
	char name[JT_NAME_MAX], owner[JT_OWNER_MAX];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- looking ---- */

static uint64_t count_before(const struct view *before, const char *word)
{
	for (size_t i = 0; i < before->n_verdicts; i++)
		if (strcmp(before->verdicts[i].word, word) == 0)
			return before->verdicts[i].count;
	return 0;
}

static void take_verdicts(struct view *v, const struct view *before,
			  json_t *verdicts)
{
	const char *word;
	json_t *count;

	v->n_verdicts = 0;
	json_object_foreach(verdicts, word, count)
	{
		struct verdict *to = &v->verdicts[v->n_verdicts];
		uint64_t was = count_before(before, word);

		if (v->n_verdicts == VERDICTS_MAX)
			break;
		snprintf(to->word, sizeof(to->word), "%s", word);
		to->count = (uint64_t)json_integer_value(count);
		/* less than before: another keeper, from 0 on */
		to->more = to->count >= was ? to->count - was : to->count;
		if (before->at_ns == 0)
			to->more = 0;
		v->n_verdicts++;
	}
}

static int take_status(struct view *v, const struct view *before,
		       const char *text)
{
	json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_t *verdicts = json_object_get(o, "verdicts");
	bool understood = json_is_object(verdicts);

	if (understood) {
		take_verdicts(v, before, verdicts);
		v->tokens = (uint64_t)json_integer_value(
			json_object_get(o, "tokens"));
	}
	json_decref(o);
	return understood ? 0 : -EPROTO;
}

/* Exit code. */
static int look(const struct jt_cmd *cmd, struct jt_control *c, unsigned rows,
		const struct view *before, struct view *v)
{
	int e = jt_control_top(c, rows, &v->top);

	if (e == 0)
		e = jt_control_status(c);
	if (e == 0)
		e = take_status(v, before, c->line + 3);
	v->at_ns = now_ns();
	v->span_s =
		before->at_ns ? (double)(v->at_ns - before->at_ns) / 1e9 : 0;
	if (e)
		return jt_fail(JT_EXIT_SIDECAR,
			       "a sidecar serves %s but does not answer (%s); "
			       "look at its log or restart it",
			       cmd->paths.data, jt_control_reason(c, e));
	return 0;
}

static int connect_to(const struct jt_cmd *cmd, struct jt_control *c)
{
	int e = jt_control_connect(c, cmd->paths.data, JT_CONTROL_WAIT_MS);

	if (e == 0)
		return 0;
	return jt_fail(e < 0 ? JT_EXIT_FILE : JT_EXIT_SIDECAR,
		       "the sidecar of %s cannot be reached (%s); start "
		       "jetond, or check --data",
		       cmd->paths.data, jt_control_reason(c, e));
}

static struct who who_is(const struct view *v, uint64_t number)
{
	struct who who = {.id = "?"};
	struct jt_record r;

	if (!v->readable || number > v->journal.committed.number ||
	    jt_journal_read(&v->journal, number, &r, 1, NULL) != 0 ||
	    !jt_record_is_token(r.type))
		return who;
	memcpy(who.id, r.token.id, JT_ID_BYTES);
	memcpy(who.name, r.token.name, sizeof(who.name));
	memcpy(who.owner, r.token.owner, sizeof(who.owner));
	return who;
}

static double per_s(uint64_t more, double span_s)
{
	return span_s > 0 ? (double)more / span_s : 0;
}

static double row_per_s(const struct view *v, uint64_t more)
{
	return per_s(more, (double)v->top.span_ms / 1000);
}

/* ---- answers ---- */

static void put_list(const struct view *v, const struct jt_top_row *rows,
		     uint64_t n, bool refused, size_t width)
{
	size_t beside = JT_ID_BYTES + NUMBERS;
	size_t name_width = width > beside + 8 ? width - beside : 8;
	char cell[JT_CELL_BYTES(JT_NAME_MAX, 4 * JT_NAME_MAX)];

	if (name_width > JT_NAME_MAX)
		name_width = JT_NAME_MAX;
	printf("\n%-*s  %-*s  %9s  %13s\n", (int)name_width,
	       refused ? "MOST REFUSED" : "MOST USED", JT_ID_BYTES, "ID",
	       "PER S", refused ? "REFUSED" : "USES");
	for (uint64_t i = 0; i < n; i++) {
		struct who who = who_is(v, rows[i].last);

		fwrite(cell, 1,
		       jt_text_cell(who.name, sizeof(who.name), name_width,
				    cell),
		       stdout);
		fputs("  ", stdout);
		fwrite(cell, 1,
		       jt_text_cell(who.id, sizeof(who.id), JT_ID_BYTES, cell),
		       stdout);
		printf("  %9.1f  %13" PRIu64 "\n",
		       row_per_s(v, refused ? rows[i].more_refusals
					    : rows[i].more_uses),
		       refused ? rows[i].refusals : rows[i].uses);
	}
}

static void put_screen(const struct view *v)
{
	size_t width = jt_terminal_width(), used = 0;
	uint64_t all = 0;
	char text[80];

	for (size_t i = 0; i < v->n_verdicts; i++)
		all += v->verdicts[i].more;
	printf("jeton top: %" PRIu64 " tokens, %.1f verdicts per s; q quits\n",
	       v->tokens, per_s(all, v->span_s));
	for (size_t i = 0; i < v->n_verdicts; i++) {
		if (v->verdicts[i].more == 0)
			continue;
		/* a word and its rate stay together, however narrow it is */
		snprintf(text, sizeof(text), "%s%s:%.1f", used ? "  " : "",
			 v->verdicts[i].word,
			 per_s(v->verdicts[i].more, v->span_s));
		jt_put_wrapped(stdout, text, 0, width, &used);
	}
	putchar('\n');
	put_list(v, v->top.used, v->top.n_used, false, width);
	put_list(v, v->top.refused, v->top.n_refused, true, width);
}

static void put_rows(const struct view *v, const char *kind,
		     const struct jt_top_row *rows, uint64_t n, bool refused)
{
	for (uint64_t i = 0; i < n; i++) {
		struct who who = who_is(v, rows[i].last);

		printf("%s\t", kind);
		jt_put_text(stdout, JT_STYLE_TSV, who.id, sizeof(who.id));
		putchar('\t');
		jt_put_text(stdout, JT_STYLE_TSV, who.name, sizeof(who.name));
		printf("\t%.1f\t%" PRIu64 "\n",
		       row_per_s(v, refused ? rows[i].more_refusals
					    : rows[i].more_uses),
		       refused ? rows[i].refusals : rows[i].uses);
	}
}

static void put_lines(const struct view *v)
{
	for (size_t i = 0; i < v->n_verdicts; i++) {
		fputs("verdict\t", stdout);
		jt_put_text(stdout, JT_STYLE_TSV, v->verdicts[i].word,
			    sizeof(v->verdicts[i].word));
		printf("\t\t%.1f\t%" PRIu64 "\n",
		       per_s(v->verdicts[i].more, v->span_s),
		       v->verdicts[i].count);
	}
	put_rows(v, "used", v->top.used, v->top.n_used, false);
	put_rows(v, "refused", v->top.refused, v->top.n_refused, true);
}

static json_t *list_json(const struct view *v, const struct jt_top_row *rows,
			 uint64_t n)
{
	json_t *list = json_array();

	for (uint64_t i = 0; i < n; i++) {
		struct who who = who_is(v, rows[i].last);

		json_array_append_new(
			list,
			json_pack("{so so so sI sI sf sf}", "id",
				  jt_json_text(who.id, sizeof(who.id)), "name",
				  jt_json_text(who.name, sizeof(who.name)),
				  "owner",
				  jt_json_text(who.owner, sizeof(who.owner)),
				  "uses", (json_int_t)rows[i].uses, "refusals",
				  (json_int_t)rows[i].refusals, "uses_per_s",
				  row_per_s(v, rows[i].more_uses),
				  "refusals_per_s",
				  row_per_s(v, rows[i].more_refusals)));
	}
	return list;
}

static void put_json(const struct view *v)
{
	json_t *o = json_object(), *verdicts = json_object();

	for (size_t i = 0; i < v->n_verdicts; i++)
		json_object_set_new(
			verdicts, v->verdicts[i].word,
			json_pack("{sI sf}", "count",
				  (json_int_t)v->verdicts[i].count, "per_s",
				  per_s(v->verdicts[i].more, v->span_s)));
	json_object_set_new(o, "tokens", json_integer((json_int_t)v->tokens));
	json_object_set_new(o, "verdicts", verdicts);
	json_object_set_new(o, "most_used",
			    list_json(v, v->top.used, v->top.n_used));
	json_object_set_new(o, "most_refused",
			    list_json(v, v->top.refused, v->top.n_refused));
	jt_put_json(stdout, o);
}

/* The journal is opened anew: a compaction may have replaced it. */
static void put(const struct jt_cmd *cmd, struct view *v, enum jt_style style)
{
	v->readable = jt_journal_open(&v->journal, &jt_io_os, cmd->paths.data,
				      NULL) == 0;
	if (style == JT_STYLE_TABLE)
		put_screen(v);
	else if (style == JT_STYLE_TSV)
		put_lines(v);
	else
		put_json(v);
	if (v->readable)
		jt_journal_close(&v->journal);
}

/* ---- the two ways ---- */

static int once(const struct jt_cmd *cmd, struct jt_control *c,
		struct view views[2])
{
	int e = look(cmd, c, ROWS, &views[1], &views[0]);

	if (e)
		return e;
	poll(NULL, 0, EVERY_MS);
	e = look(cmd, c, ROWS, &views[0], &views[1]);
	if (e == 0)
		put(cmd, &views[1], jt_style_of(cmd->json));
	return e;
}

static unsigned rows_of_screen(void)
{
	struct winsize size;
	unsigned height = HEIGHT, rows;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row)
		height = size.ws_row;
	rows = height > AROUND + 2 ? (height - AROUND) / 2 : 1;
	return rows < JT_TOP_ROWS ? rows : JT_TOP_ROWS;
}

/* True: q, Ctrl-C, or nobody looks any more. */
static bool rest(int signals)
{
	struct pollfd fds[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = isatty(STDIN_FILENO) ? STDIN_FILENO : -1,
		 .events = POLLIN},
	};
	uint64_t end_ns = now_ns() + EVERY_MS * 1000000ull, now;
	char key;

	while ((now = now_ns()) < end_ns) {
		int n = poll(fds, 2, (int)((end_ns - now) / 1000000u) + 1);

		if (n < 0 && errno != EINTR)
			return true;
		if (n <= 0)
			continue;
		if (fds[0].revents)
			return true;
		if (fds[1].revents &&
		    (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
			return true;
	}
	return false;
}

static int redraw(const struct jt_cmd *cmd, struct jt_control *c,
		  struct view views[2], int signals)
{
	unsigned now = 0;
	int e;

	/* the first screen at once: totals; rates come with the second */
	do {
		e = look(cmd, c, rows_of_screen(), &views[!now], &views[now]);
		if (e)
			return e;
		fputs(CLEAR, stdout);
		put(cmd, &views[now], JT_STYLE_TABLE);
		fflush(stdout);
		now = !now;
	} while (!ferror(stdout) && !rest(signals));
	return 0;
}

static int live(const struct jt_cmd *cmd, struct jt_control *c,
		struct view views[2])
{
	struct termios old, keys;
	bool typed = tcgetattr(STDIN_FILENO, &old) == 0;
	sigset_t set;
	int signals, e;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (typed) {
		keys = old;
		keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &keys);
	}
	e = redraw(cmd, c, views, signals);
	if (typed)
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
	if (signals >= 0)
		close(signals);
	return e;
}

int jt_cmd_top(const struct jt_cmd *cmd)
{
	static struct view views[2];
	struct jt_control c;
	int e = connect_to(cmd, &c);

	if (e)
		return e;
	if (jt_style_of(cmd->json) == JT_STYLE_TABLE)
		e = live(cmd, &c, views);
	else
		e = once(cmd, &c, views);
	jt_control_close(&c);
	return e;
}
