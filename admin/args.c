/* args: see args.h. */
#include "admin/args.h"
#include "shm/token.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ECHO_MAX 20
#define NAME_MAX 24 /* of an option */

static const struct {
	const char *name, *value, *text;
} options[JT_OPTIONS_N] = {
#define X(name, value, text) {#name, value, text},
	JT_OPTIONS(X)
#undef X
};

const char *jt_option_name(enum jt_option o)
{
	static char names[JT_OPTIONS_N][JT_OPTION_NAME];

	const char *from = options[o].name;

	for (size_t i = 0; from[i] && strcmp(from + i, "_") != 0; i++)
		names[o][i] = from[i] == '_' ? '-' : from[i];
	return names[o];
}

const char *jt_option_value(enum jt_option o)
{
	return options[o].value;
}

const char *jt_option_text(enum jt_option o)
{
	return options[o].text;
}

bool jt_looks_secret(const char *text)
{
	size_t n = strlen(text);

	/* public part and at least one character of a secret */
	for (size_t at = 0; at + JT_PUBLIC_BYTES < n; at++)
		if (jt_public_ok(text + at, NULL, NULL) &&
		    isalnum((unsigned char)text[at + JT_PUBLIC_BYTES]))
			return true;
	return false;
}

bool jt_args_scopes(const struct jt_args *args, char *out, size_t max)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < args->n_scopes; i++) {
		int more = snprintf(out + n, max - n, "%s%s", i ? " " : "",
				    args->scopes[i]);

		if (more < 0 || (size_t)more >= max - n)
			return false;
		n += (size_t)more;
	}
	return true;
}

/* The option called by the first N characters of NAME. */
static enum jt_option find(const char *name, size_t n)
{
	enum jt_option o = 0;

	while (o < JT_OPTIONS_N && (strncmp(jt_option_name(o), name, n) != 0 ||
				    jt_option_name(o)[n] != '\0'))
		o++;
	return o;
}

static bool put(struct jt_args *args, enum jt_option o, const char *value,
		char why[JT_WHY_MAX])
{
	switch (o) {
#define X(option, what, text)                                                  \
	case JT_OPT_##option:                                                  \
		args->option = value;                                          \
		break;
		JT_OPTIONS(X)
#undef X
	case JT_OPTIONS_N:
		return false;
	}
	if (o == JT_OPT_scope && args->n_scopes == JT_SCOPES_GIVEN_MAX) {
		snprintf(why, JT_WHY_MAX, "at most %d scopes",
			 JT_SCOPES_GIVEN_MAX);
		return false;
	}
	if (o == JT_OPT_scope) {
		args->scopes[args->n_scopes++] = value;
	} else if (args->given & UINT64_C(1) << o) {
		snprintf(why, JT_WHY_MAX, "--%s is given twice",
			 jt_option_name(o));
		return false;
	}
	args->given |= UINT64_C(1) << o;
	return true;
}

/* One `--name`, perhaps with the NEXT argument as its value. */
static bool take(struct jt_args *args, const char *arg, const char *next,
		 int *usedp, char why[JT_WHY_MAX])
{
	const char *name = arg + 2, *value = strchr(name, '=');
	size_t n = value ? (size_t)(value - name) : strlen(name);
	enum jt_option o = find(name, n);

	*usedp = 0;
	if (o == JT_OPTIONS_N) {
		snprintf(why, JT_WHY_MAX, "there is no option --%.*s",
			 n <= ECHO_MAX ? (int)n : 0, name);
		return false;
	}
	if (!options[o].value && value) {
		snprintf(why, JT_WHY_MAX, "--%s takes no value",
			 jt_option_name(o));
		return false;
	}
	if (!options[o].value)
		return put(args, o, jt_option_name(o), why);
	/* the variable before the next option was unset */
	if (!value && next && strncmp(next, "--", 2) == 0)
		next = NULL;
	if (!value)
		*usedp = next != NULL;
	value = value ? value + 1 : next;
	if (!value || !*value) {
		snprintf(why, JT_WHY_MAX, "--%s needs a value: %s",
			 jt_option_name(o), options[o].value);
		return false;
	}
	return put(args, o, value, why);
}

bool jt_args_parse(int argc, char **argv, struct jt_args *args,
		   char why[JT_WHY_MAX])
{
	bool only_words = false;
	int used;

	memset(args, 0, sizeof(*args));
	for (int i = 1; i < argc; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (!only_words && strncmp(argv[i], "--", 2) == 0) {
			if (!take(args, argv[i],
				  i + 1 < argc ? argv[i + 1] : NULL, &used,
				  why))
				return false;
			i += used;
		} else if (!only_words && strcmp(argv[i], "-h") == 0) {
			if (!put(args, JT_OPT_help, "help", why))
				return false;
		} else if (args->n_words < JT_WORDS_GIVEN_MAX) {
			args->words[args->n_words++] = argv[i];
		} else {
			snprintf(why, JT_WHY_MAX, "too many arguments");
			return false;
		}
	}
	return true;
}
