/*
 * settings_file: see settings_file.h.
 *
 * First the whole text is looked at: size, zero bytes, UTF-8, control bytes,
 * length of lines. Then libinih reads it from next_line(), a line at a time:
 * so the number of the line is known in its handler, which it does not tell,
 * and each heading is seen there, also a second one of the same name or one
 * with nothing below it, which it passes over.
 *
 * How libinih was built differs between systems: lines from 200 bytes on are
 * cut, comments and continuations may be on or off. So lines are kept shorter,
 * and its switches are set.
 */
#include "sidecar/settings_file.h"

#include "admin/label.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAEMON_KEYS_MAX 64u

enum section {
	NOWHERE = 0,
	DAEMON,
	POLICY,
	PEER,
};

struct reader {
	struct jt_settings_file *file;
	jt_settings_take *take;
	void *ctx;
	struct jt_fault *faultp;
	const char *at, *end;
	unsigned line;
	bool indented; /* the line */
	bool bad;
	bool daemon_seen, default_seen;
	enum section section;
	unsigned number;	   /* of the policy or rule */
	uint32_t seen;		   /* keys of the section, by place */
	const struct jt_key *last; /* NULL: none, or none that is a list */
	char names[DAEMON_KEYS_MAX][32]; /* keys seen of [jetond] */
	unsigned n_names;
};

static int bad(struct reader *r, const char *why)
{
	r->bad = true;
	return jt_fault_set(r->faultp, JT_SETTINGS_FILE_E_BAD, r->line, 0, "%s",
			    why);
}

void jt_settings_file_none(struct jt_settings_file *file)
{
	memset(file, 0, sizeof(*file));
	jt_settings_default(&file->settings);
}

/* ---- headings ---- */

static int begin_daemon(struct reader *r)
{
	if (r->daemon_seen)
		return bad(r, "there is a section [jetond] already; put all of "
			      "its keys into one");
	r->daemon_seen = true;
	return 0;
}

static int begin_policy(struct reader *r, const char *name, size_t n)
{
	struct jt_settings *s = &r->file->settings;
	const struct jt_policy *old;

	if (!jt_settings_name_ok(name, n, JT_POLICY_NAME))
		return bad(r, "that is no name of a policy; take 1 to 31 of "
			      "letters, digits, `_`, `-` and `.`, the first "
			      "not `.`");
	old = jt_settings_policy(s, name, n);
	if (old == &s->policies[0] && !r->default_seen) {
		r->default_seen = true; /* the file has its own */
		r->number = 0;
		return 0;
	}
	if (old)
		return bad(r, "there is a policy of that name already; give "
			      "this one another, or put all keys into one");
	if (s->n_policies == JT_POLICIES_MAX)
		return bad(r, "that is one policy too many; there may be 64, "
			      "`default` among them");
	r->number = s->n_policies++;
	jt_policy_default(&s->policies[r->number]);
	memcpy(s->policies[r->number].name, name, n);
	return 0;
}

static int begin_peer(struct reader *r, const char *name, size_t n)
{
	struct jt_settings *s = &r->file->settings;

	if (!jt_settings_name_ok(name, n, JT_RULE_NAME))
		return bad(r, "that is no name of a peer; take 1 to 31 of "
			      "letters, digits, `_`, `-` and `.`, the first "
			      "not `.`");
	for (uint32_t i = 0; i < s->n_rules; i++)
		if (strlen(s->rules[i].name) == n &&
		    memcmp(s->rules[i].name, name, n) == 0)
			return bad(r, "there is a peer of that name already; "
				      "give this one another, or put all keys "
				      "into one");
	if (s->n_rules == JT_RULES_MAX)
		return bad(r, "that is one peer too many; there may be 64");
	r->number = s->n_rules++;
	jt_rule_default(&s->rules[r->number]);
	memcpy(s->rules[r->number].name, name, n);
	return 0;
}

/* Behind WORD and blanks; NULL: something else stands there. */
static const char *after(const char *text, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(text, word, n) != 0 || (text[n] != ' ' && text[n] != '\t'))
		return NULL;
	return text + n + strspn(text + n, " \t");
}

/* TEXT: the whole line, blanks at its end taken away. */
static int begin_section(struct reader *r, const char *text)
{
	size_t n = strlen(text);
	char title[JT_SETTINGS_LINE_MAX + 1];
	const char *name;

	r->seen = 0;
	r->last = NULL;
	r->section = NOWHERE;
	if (n < 2 || text[n - 1] != ']')
		return bad(r, "a section's line must end with `]`; put what "
			      "follows on the next one");
	memcpy(title, text + 1, n - 2);
	title[n - 2] = '\0';
	if (strcmp(title, "jetond") == 0) {
		r->section = DAEMON;
		return begin_daemon(r);
	}
	name = after(title, "policy");
	if (name) {
		r->section = POLICY;
		return begin_policy(r, name, strlen(name));
	}
	name = after(title, "peer");
	if (name) {
		r->section = PEER;
		return begin_peer(r, name, strlen(name));
	}
	return bad(r, "that is no section; there are [jetond], [policy NAME] "
		      "and [peer NAME]");
}

/* ---- keys ---- */

static int take_daemon_key(struct reader *r, const char *name,
			   const char *value)
{
	for (unsigned i = 0; i < r->n_names; i++)
		if (strcmp(r->names[i], name) == 0)
			return bad(r, "that key was there before in this "
				      "section; keep one of the two");
	if (r->take(r->ctx, name, value, r->line, r->faultp)) {
		r->bad = true;
		r->faultp->number = r->line;
		return JT_SETTINGS_FILE_E_BAD;
	}
	if (r->n_names < DAEMON_KEYS_MAX)
		snprintf(r->names[r->n_names++], sizeof(r->names[0]), "%s",
			 name);
	return 0;
}

static int take_value(struct reader *r, const struct jt_key *key,
		      const char *value, bool more)
{
	struct jt_settings *s = &r->file->settings;
	char text[JT_SETTINGS_LINE_MAX + 1];
	void *object = r->section == POLICY ? (void *)&s->policies[r->number]
					    : (void *)&s->rules[r->number];

	snprintf(text, sizeof(text), "%s", value);
	if (key->take(object, text, more))
		return 0;
	r->bad = true;
	return jt_fault_set(r->faultp, JT_SETTINGS_FILE_E_BAD, r->line, 0,
			    "the value is not understood; %s takes %s",
			    key->name, key->takes);
}

static int take_key(struct reader *r, const char *name, const char *value)
{
	bool policy = r->section == POLICY;
	const struct jt_key *keys = policy ? jt_policy_keys : jt_rule_keys;
	unsigned n = policy ? JT_POLICY_KEYS : JT_RULE_KEYS;

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(keys[i].name, name) != 0)
			continue;
		if (r->seen & 1u << i)
			return bad(r, "that key was there before in this "
				      "section; keep one of the two");
		r->seen |= 1u << i;
		r->last = keys[i].is_list ? &keys[i] : NULL;
		(policy ? r->file->policy_lines[r->number]
			: r->file->rule_lines[r->number])[i] = r->line;
		return take_value(r, &keys[i], value, false);
	}
	return bad(r, policy ? "a policy has no such key; it has env, scope, "
			       "cost, credentials, legacy-headers and "
			       "hide-verdict"
			     : "a peer has no such key; it has uid, gid, "
			       "verify, see, attach, connections and "
			       "refusals");
}

/* libinih's handler: 1 on success. */
static int on_key(void *ctx, const char *section, const char *name,
		  const char *value)
{
	struct reader *r = ctx;

	if (r->bad)
		return 0;
	if (r->indented && r->last)
		return take_value(r, r->last, value, true) == 0;
	if (r->indented)
		return !bad(r, "only a list goes on on a line that begins with "
			       "a blank; begin keys at the line's start");
	if (r->section == NOWHERE)
		return !bad(r, "a key stands before any section; put it below "
			       "[jetond], [policy NAME] or [peer NAME]");
	r->last = NULL;
	if (r->section == DAEMON)
		return take_daemon_key(r, name, value) == 0;
	return take_key(r, name, value) == 0;
}

/* ---- lines ---- */

/* libinih's reader: the next line into LINE, NULL at the end. */
static char *next_line(char *line, int max, void *stream)
{
	struct reader *r = stream;
	const char *end;
	size_t n;

	if (r->bad || r->at == r->end)
		return NULL;
	end = memchr(r->at, '\n', (size_t)(r->end - r->at));
	n = (size_t)((end ? end : r->end) - r->at);
	r->line++;
	if (n >= (size_t)max) {
		bad(r, "libinih was built for shorter lines; break this one");
		return NULL;
	}
	memcpy(line, r->at, n);
	r->at = end ? end + 1 : r->end;
	while (n && strchr(" \t\r", line[n - 1]))
		n--;
	line[n] = '\0';
	r->indented = line[0] == ' ' || line[0] == '\t';
	if (r->indented && line[strspn(line, " \t")] == '[') {
		bad(r, "a section begins at the start of its line; remove the "
		       "blanks before it");
		return NULL;
	}
	if (line[0] == '[' && begin_section(r, line))
		return NULL;
	return line;
}

/* What the text must be before anybody reads it. */
static int check_text(struct reader *r)
{
	const char *at = r->at, *begin = at;
	uint32_t point;

	for (r->line = 1; at < r->end;) {
		size_t n = jt_utf8_next(at, (size_t)(r->end - at), &point);

		if (!n)
			return bad(r, "that is no UTF-8; save the file as "
				      "UTF-8");
		at += n;
		if (point == '\n') {
			begin = at;
			r->line++;
		} else if ((point < ' ' && point != '\t' && point != '\r') ||
			   point == 0x7f) {
			return bad(r, "the line holds a zero byte or another "
				      "control character; remove it");
		} else if ((size_t)(at - begin) > JT_SETTINGS_LINE_MAX) {
			return bad(r, "the line is longer than 190 bytes; a "
				      "list may go on on the next line behind "
				      "a blank");
		}
	}
	r->line = 0;
	return 0;
}

int jt_settings_file_parse(struct jt_settings_file *file, const char *text,
			   size_t bytes, jt_settings_take *take, void *ctx,
			   struct jt_fault *faultp)
{
	struct reader r = {
		.file = file,
		.take = take,
		.ctx = ctx,
		.faultp = faultp,
		.at = text,
		.end = text + bytes,
	};

	jt_settings_file_none(file);
	if (bytes > JT_SETTINGS_FILE_MAX)
		return bad(&r, "the file is larger than 256 KiB; is it the "
			       "right one?");
	if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.at += 3;
	if (check_text(&r))
		return JT_SETTINGS_FILE_E_BAD;
	ini_allow_multiline = true;
	ini_allow_inline_comments = false;
	ini_allow_no_value = false;
	ini_stop_on_first_error = true;
	if (ini_parse_stream(next_line, &r, on_key, &r) && !r.bad)
		bad(&r, "that is neither `key = value` nor a section; comments "
			"begin with `#`");
	return r.bad ? JT_SETTINGS_FILE_E_BAD : 0;
}

/* ---- the file ---- */

static int refuse(struct jt_fault *faultp, const char *why, const char *what)
{
	return jt_fault_set(faultp, JT_SETTINGS_FILE_E_BAD, 0, 0, "%s; %s", why,
			    what);
}

static int read_all(int fd, char *text, size_t max, size_t *bytesp)
{
	size_t n = 0;
	ssize_t got;

	while (n < max && (got = read(fd, text + n, max - n)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		n += (size_t)got;
	}
	*bytesp = n;
	return 0;
}

static int check_kind(int fd, struct jt_fault *faultp)
{
	struct stat st;

	if (fstat(fd, &st))
		return refuse(faultp, strerror(errno), "give another file");
	if (!S_ISREG(st.st_mode))
		return refuse(faultp, "that is no regular file",
			      "give another");
	if (st.st_mode & S_IWOTH)
		return refuse(faultp,
			      "everybody may write it and so give himself "
			      "rights",
			      "run `chmod o-w` on it");
	return 0;
}

int jt_settings_file_read(struct jt_settings_file *file, const char *path,
			  jt_settings_take *take, void *ctx,
			  struct jt_fault *faultp)
{
	/* one byte more than is allowed shows that there is more */
	static char text[JT_SETTINGS_FILE_MAX + 1];
	/* a pipe must not make the daemon wait for whoever writes it */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;
	size_t bytes = 0;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return refuse(faultp, strerror(errno),
			      "let the daemon's user read it, or give another "
			      "file");
	rc = check_kind(fd, faultp);
	if (!rc) {
		rc = read_all(fd, text, sizeof(text), &bytes);
		if (rc)
			rc = refuse(faultp, strerror(-rc),
				    "check the disk, or give another file");
	}
	close(fd);
	return rc ? rc
		  : jt_settings_file_parse(file, text, bytes, take, ctx,
					   faultp);
}

/* ---- printing ---- */

static void print_keys(const struct jt_key *keys, unsigned n,
		       const uint32_t *lines, const void *object,
		       const char *path, FILE *out)
{
	for (unsigned i = 0; i < n; i++) {
		char *value = NULL;
		size_t bytes;
		FILE *f = open_memstream(&value, &bytes);

		if (!f)
			continue;
		keys[i].print(object, f);
		fclose(f);
		if (lines[i])
			fprintf(out, "# %s:%u\n", path, lines[i]);
		else
			fprintf(out, "# default\n");
		/* uid and gid are there or not: nothing is no value of theirs
		 */
		if (!*value && keys != jt_policy_keys)
			fprintf(out, "# %s: none\n", keys[i].name);
		else
			fprintf(out, "%s =%s%s\n", keys[i].name,
				*value ? " " : "", value);
		free(value);
	}
}

void jt_settings_file_print(const struct jt_settings_file *file,
			    const char *path, FILE *out)
{
	const struct jt_settings *s = &file->settings;

	for (uint32_t i = 0; i < s->n_policies; i++) {
		fprintf(out, "\n[policy %s]\n", s->policies[i].name);
		print_keys(jt_policy_keys, JT_POLICY_KEYS,
			   file->policy_lines[i], &s->policies[i], path, out);
	}
	for (uint32_t i = 0; i < s->n_rules; i++) {
		fprintf(out, "\n[peer %s]\n", s->rules[i].name);
		print_keys(jt_rule_keys, JT_RULE_KEYS, file->rule_lines[i],
			   &s->rules[i], path, out);
	}
}
