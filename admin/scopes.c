/* scopes: see scopes.h. */
#include "admin/scopes.h"
#include "shm/scope.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX JT_SCOPES_N
#define BETWEEN ", "

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sort the names at NAMES and write each once. */
static void join(const char **names, size_t n, char *out)
{
	qsort(names, n, sizeof(*names), by_text);
	*out = '\0';
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
			continue;
		if (i > 0)
			*out++ = ' ';
		out = stpcpy(out, names[i]);
	}
}

int jt_scopes_parse(const char *text, char out[JT_SCOPES_TEXT])
{
	char copy[JT_SCOPES_TEXT], *rest, *word;
	const char *names[NAMES_MAX];
	size_t n = 0;

	out[0] = '\0';
	if (strcmp(text, "none") == 0)
		return 0;
	if (strlen(text) >= sizeof(copy))
		return JT_SCOPES_E_LONG;
	strcpy(copy, text);
	for (word = strtok_r(copy, BETWEEN, &rest); word;
	     word = strtok_r(NULL, BETWEEN, &rest)) {
		if (!jt_scope_ok(word, strlen(word)))
			return JT_SCOPES_E_NAME;
		if (n == NAMES_MAX)
			return JT_SCOPES_E_LONG;
		names[n++] = word;
	}
	join(names, n, out);
	return 0;
}

const char *jt_scopes_why(int e)
{
	if (e == JT_SCOPES_E_NAME)
		return "holds a name that is not like orders:read, orders:* or "
		       "* (letters, digits, `.`, `_`, `-`, colons between)";
	return "is longer than 2047 bytes";
}

bool jt_scopes_next(const char **textp, char name[JT_SCOPE_MAX])
{
	size_t n = strcspn(*textp, " ");

	if (n == 0 || n > JT_SCOPE_MAX)
		return false;
	memset(name, 0, JT_SCOPE_MAX);
	memcpy(name, *textp, n);
	*textp += n;
	*textp += **textp == ' ';
	return true;
}

bool jt_plan_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && n <= JT_PLAN_MAX && name[n] == '\0';
}
