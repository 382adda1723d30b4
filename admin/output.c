/* output: see output.h. */
#include "admin/output.h"
#include "admin/label.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#define LABEL_WIDTH 19
#define SAY_MAX 1024
#define TERMINAL_WIDTH 80

/* Memory ran out: what stands on stdout is not the whole answer. */
static bool lacking;

enum jt_style jt_style_of(bool json)
{
	if (json)
		return JT_STYLE_JSON;
	return isatty(STDOUT_FILENO) ? JT_STYLE_TABLE : JT_STYLE_TSV;
}

/* One line in one write, so that lines of two processes never mix. */
__attribute__((format(printf, 1, 0))) static void say(const char *fmt,
						      va_list args)
{
	char line[SAY_MAX] = "jeton: ";
	size_t n = strlen(line);

	vsnprintf(line + n, sizeof(line) - n - 1, fmt, args);
	for (char *c = line; *c; c++)
		if ((uint8_t)*c < ' ' || *c == 0x7f)
			*c = '?';
	n = strlen(line);
	line[n] = '\n';
	jt_write_all(STDERR_FILENO, line, n + 1);
}

int jt_fail(int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return code;
}

void jt_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}

/* The next character of TEXT: its bytes, and whether it may be shown. */
static size_t next(const char *text, size_t bytes, enum jt_style style,
		   uint32_t *pointp, bool *plainp)
{
	size_t n = jt_utf8_next(text, bytes, pointp);

	*plainp = n && jt_utf8_printable(*pointp) &&
		  !(style == JT_STYLE_TSV && *pointp == '\\');
	return n ? n : 1;
}

/* Bytes in front that are shown as they are, a column each. */
static size_t plain_run(const char *text, size_t bytes, enum jt_style style)
{
	size_t n = 0;

	while (n < bytes && text[n] >= ' ' && text[n] <= '~' &&
	       !(style == JT_STYLE_TSV && text[n] == '\\'))
		n++;
	return n;
}

void jt_put_text(FILE *out, enum jt_style style, const char *text, size_t bytes)
{
	uint32_t point;
	bool plain;
	size_t n;

	bytes = strnlen(text, bytes);
	for (size_t at = 0; at < bytes; at += n) {
		n = plain_run(text + at, bytes - at, style);
		plain = n > 0;
		if (!n)
			n = next(text + at, bytes - at, style, &point, &plain);
		if (plain) {
			fwrite(text + at, 1, n, out);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			fprintf(out, "\\x%02x", (uint8_t)text[at + i]);
	}
}

/* The next character on a terminal: its bytes and its columns. */
static size_t next_columns(const char *text, size_t bytes, size_t *columnsp,
			   bool *plainp)
{
	uint32_t point;
	size_t n = next(text, bytes, JT_STYLE_TABLE, &point, plainp);
	int columns;

	*columnsp = 4 * n;
	if (*plainp) {
		/* glibc's wchar_t is a code point; -1: its tables lack it */
		columns = wcwidth((wchar_t)point);
		*columnsp = columns < 0 ? 1 : (size_t)columns;
	}
	return n;
}

size_t jt_text_width(const char *text, size_t bytes)
{
	size_t width, columns, n;
	bool plain;

	bytes = strnlen(text, bytes);
	width = plain_run(text, bytes, JT_STYLE_TABLE);
	for (size_t at = width; at < bytes; at += n) {
		n = next_columns(text + at, bytes - at, &columns, &plain);
		width += columns;
	}
	return width;
}

/* Whole characters of TEXT, in at most WIDTH columns. */
static size_t put_columns(const char *text, size_t bytes, size_t width,
			  char *out, size_t *usedp)
{
	size_t done = 0, columns, n;
	bool plain;

	*usedp = 0;
	for (size_t at = 0; at < bytes; at += n) {
		n = next_columns(text + at, bytes - at, &columns, &plain);
		if (*usedp + columns > width)
			break;
		*usedp += columns;
		if (plain) {
			memcpy(out + done, text + at, n);
			done += n;
			continue;
		}
		for (size_t i = 0; i < n; i++, done += 4) {
			static const char digits[] = "0123456789abcdef";
			uint8_t byte = (uint8_t)text[at + i];

			memcpy(out + done, "\\x", 2);
			out[done + 2] = digits[byte >> 4];
			out[done + 3] = digits[byte & 15];
		}
	}
	return done;
}

size_t jt_text_cell(const char *text, size_t bytes, size_t width, char *out)
{
	static const char ellipsis[] = "\xe2\x80\xa6";
	size_t done, used;

	bytes = strnlen(text, bytes);
	assert(width > 0);
	used = jt_text_width(text, bytes);
	if (used <= width && plain_run(text, bytes, JT_STYLE_TABLE) == bytes) {
		memcpy(out, text, bytes);
		done = bytes;
	} else if (used <= width) {
		done = put_columns(text, bytes, width, out, &used);
	} else {
		done = put_columns(text, bytes, width - 1, out, &used);
		memcpy(out + done, ellipsis, sizeof(ellipsis) - 1);
		done += sizeof(ellipsis) - 1;
		used++;
	}
	memset(out + done, ' ', width - used);
	return done + width - used;
}

void jt_put_wrapped(FILE *out, const char *text, size_t indent, size_t width,
		    size_t *usedp)
{
	while (*text) {
		size_t blanks = strspn(text, " ");
		size_t bytes = strcspn(text + blanks, " ");
		size_t columns = jt_text_width(text + blanks, bytes);

		text += blanks;
		if (*usedp > indent && *usedp + blanks + columns > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			*usedp = indent;
		} else {
			fprintf(out, "%*s", (int)blanks, "");
			*usedp += blanks;
		}
		jt_put_text(out, JT_STYLE_TABLE, text, bytes);
		*usedp += columns;
		text += bytes;
	}
}

size_t jt_terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return TERMINAL_WIDTH;
	return size.ws_col;
}

void jt_mask(const char id[24], char out[JT_MASK_TEXT])
{
	snprintf(out, JT_MASK_TEXT, "%.24s****", id);
}

json_t *jt_json_text(const char *text, size_t bytes)
{
	json_t *value;
	char *escaped = NULL;
	size_t n = 0;
	FILE *out;

	bytes = strnlen(text, bytes);
	value = json_stringn(text, bytes);
	if (value)
		return value;
	/* not UTF-8: only a journal that we did not write can hold that */
	out = open_memstream(&escaped, &n);
	if (!out)
		return NULL;
	jt_put_text(out, JT_STYLE_JSON, text, bytes);
	if (fclose(out) == 0)
		value = json_stringn(escaped, n);
	free(escaped);
	return value;
}

void jt_put_json(FILE *out, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	if (!text) {
		lacking = true;
		return;
	}
	fputs(text, out);
	fputc('\n', out);
	jt_wiping_free(text);
}

void jt_put_lacking(void)
{
	lacking = true;
}

void jt_sheet_begin(struct jt_sheet *s, bool json)
{
	s->style = jt_style_of(json);
	s->object = json ? json_object() : NULL;
}

static void put_line(const struct jt_sheet *s, const char *key,
		     const char *label, const char *text)
{
	if (s->style == JT_STYLE_TABLE)
		printf("%s:%*s", label, (int)(LABEL_WIDTH - strlen(label)), "");
	else
		printf("%s\t", key);
	jt_put_text(stdout, s->style, text, SIZE_MAX);
	putchar('\n');
}

void jt_sheet_text(struct jt_sheet *s, const char *key, const char *label,
		   const char *text, const char *human)
{
	if (s->object)
		json_object_set_new(s->object, key,
				    jt_json_text(text, SIZE_MAX));
	else
		put_line(s, key, label,
			 human && s->style == JT_STYLE_TABLE ? human : text);
}

void jt_sheet_number(struct jt_sheet *s, const char *key, const char *label,
		     int64_t number, const char *human)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	if (s->object)
		json_object_set_new(s->object, key, json_integer(number));
	else
		put_line(s, key, label,
			 human && s->style == JT_STYLE_TABLE ? human : text);
}

void jt_sheet_flag(struct jt_sheet *s, const char *key, const char *label,
		   bool flag)
{
	if (s->object)
		json_object_set_new(s->object, key, json_boolean(flag));
	else
		put_line(s, key, label, flag ? "yes" : "no");
}

void jt_sheet_end(struct jt_sheet *s)
{
	if (s->object)
		jt_put_json(stdout, s->object);
	s->object = NULL;
}

int jt_write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

int jt_stdout_close(void)
{
	static bool closed;
	bool failed = ferror(stdout);
	struct stat st;
	int e = lacking ? -ENOMEM : 0;

	if (closed)
		return 0;
	closed = true;
	errno = EIO;
	if ((fflush(stdout) != 0 || failed) && e == 0)
		e = -errno;
	if (e == 0 && fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) &&
	    fsync(STDOUT_FILENO) < 0)
		e = -errno;
	if (close(STDOUT_FILENO) < 0 && e == 0)
		e = -errno;
	/* the number stays taken: no later file shall be called stdout */
	if (open("/dev/null", O_WRONLY) < 0 && e == 0)
		e = -errno;
	return e;
}

/* The size stands in front; 16 bytes keep what follows aligned. */
#define WIPING_HEAD 16

void *jt_wiping_malloc(size_t bytes)
{
	char *memory = bytes <= SIZE_MAX - WIPING_HEAD
			       ? malloc(bytes + WIPING_HEAD)
			       : NULL;

	if (!memory)
		return NULL;
	memcpy(memory, &bytes, sizeof(bytes));
	return memory + WIPING_HEAD;
}

void jt_wiping_free(void *memory)
{
	char *head = memory ? (char *)memory - WIPING_HEAD : NULL;
	size_t bytes;

	if (!head)
		return;
	memcpy(&bytes, head, sizeof(bytes));
	sodium_memzero(head, bytes + WIPING_HEAD);
	free(head);
}
