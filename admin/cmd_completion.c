/*
 * jeton completion: what a shell offers behind `jeton`, made from the table of
 * verbs, so that it never lags behind.
 *
 *     bash   eval "$(jeton completion bash)"
 *     zsh    jeton completion zsh > "${fpath[1]}/_jeton"
 *     fish   jeton completion fish > ~/.config/fish/completions/jeton.fish
 */
#include "admin/cmd.h"

#include <string.h>

static bool allows(const struct jt_verb *v, enum jt_option o)
{
	return (v->options | JT_GLOBAL) >> o & 1;
}

/* First words, each once; the words after the first one of V. */
static bool is_first(const struct jt_verb *v)
{
	size_t n = strcspn(v->name, " ");

	for (const struct jt_verb *w = jt_verbs; w < v; w++)
		if (strncmp(w->name, v->name, n) == 0 &&
		    (w->name[n] == ' ' || w->name[n] == '\0'))
			return false;
	return true;
}

static void put_options(const struct jt_verb *v, const char *before)
{
	for (enum jt_option o = 0; o < JT_OPTIONS_N; o++)
		if (allows(v, o))
			printf("%s--%s", before, jt_option_name(o));
}

/* Options whose value is the name of a file or a directory. */
static bool takes_path(enum jt_option o)
{
	const char *value = jt_option_value(o);

	return value &&
	       (strncmp(value, "FILE", 4) == 0 || strcmp(value, "DIR") == 0);
}

static void bash(void)
{
	puts("_jeton() {\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb= i w\n"
	     "\tCOMPREPLY=()\n"
	     "\tcase ${COMP_WORDS[COMP_CWORD-1]} in");
	fputs("\t", stdout);
	for (enum jt_option o = 0, n = 0; o < JT_OPTIONS_N; o++)
		if (takes_path(o))
			printf("%s--%s", n++ ? "|" : "", jt_option_name(o));
	puts(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	     "\tesac\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tw=${COMP_WORDS[i]}\n"
	     "\t\tcase $w in\n"
	     "\t\t--data|--run) ((i++)) ;;\n"
	     "\t\t-*) ;;\n"
	     "\t\t*) verb=\"$verb${verb:+ }$w\" ;;\n"
	     "\t\tesac\n"
	     "\tdone\n"
	     "\tcase $verb in\n"
	     "\t'') w=\"");
	for (const struct jt_verb *v = jt_verbs; v->name; v++)
		if (is_first(v))
			printf("%.*s ", (int)strcspn(v->name, " "), v->name);
	puts("--data --run --help --version\" ;;");
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		size_t n = strcspn(v->name, " ");

		if (!v->name[n] || !is_first(v))
			continue;
		printf("\t%.*s) w=\"", (int)n, v->name);
		for (const struct jt_verb *s = v; s->name; s++)
			if (strncmp(s->name, v->name, n + 1) == 0)
				printf("%s ", s->name + n + 1);
		puts("\" ;;");
	}
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		printf("\t'%s'|'%s '*) w=\"", v->name, v->name);
		put_options(v, " ");
		puts("\" ;;");
	}
	puts("\tesac\n"
	     "\tCOMPREPLY=($(compgen -W \"$w\" -- \"$cur\"))\n"
	     "}\n"
	     "complete -F _jeton jeton");
}

/* Text within single quotes, for zsh (DOUBLED false: '\'') and fish. */
static void put_quoted(const char *text, bool fish)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(fish ? "\\'" : "'\\''", stdout);
		else if (!fish &&
			 (*text == '[' || *text == ']' || *text == ':'))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh(void)
{
	puts("#compdef jeton\n"
	     "_jeton() {\n"
	     "\tlocal verb=\"${(j: :)${(@)words[2,CURRENT-1]:#-*}}\"\n"
	     "\tlocal -a verbs=(");
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		fputs("\t\t'", stdout);
		for (const char *c = v->name; *c; c++)
			putchar(*c);
		putchar(':');
		put_quoted(v->brief, false);
		puts("'");
	}
	puts("\t)\n"
	     "\tcase $verb in");
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		printf("\t'%s'|'%s '*) _arguments \\\n", v->name, v->name);
		for (enum jt_option o = 0; o < JT_OPTIONS_N; o++) {
			if (!allows(v, o))
				continue;
			printf("\t\t'--%s[", jt_option_name(o));
			put_quoted(jt_option_text(o), false);
			putchar(']');
			if (jt_option_value(o))
				printf(":%s:%s", jt_option_name(o),
				       takes_path(o) ? "_files" : "");
			puts("' \\");
		}
		puts("\t\t'*:' ;;");
	}
	puts("\t*) _describe verb verbs ;;\n"
	     "\tesac\n"
	     "}\n"
	     "_jeton \"$@\"");
}

static void fish(void)
{
	puts("complete -c jeton -f");
	for (const struct jt_verb *v = jt_verbs; v->name; v++) {
		size_t n = strcspn(v->name, " ");

		if (v->name[n]) {
			if (is_first(v))
				printf("complete -c jeton -n "
				       "__fish_use_subcommand -a %.*s\n",
				       (int)n, v->name);
			printf("complete -c jeton -n "
			       "'__fish_seen_subcommand_from %.*s' -a %s -d '",
			       (int)n, v->name, v->name + n + 1);
		} else {
			printf("complete -c jeton -n __fish_use_subcommand "
			       "-a %s -d '",
			       v->name);
		}
		put_quoted(v->brief, true);
		puts("'");
		for (enum jt_option o = 0; o < JT_OPTIONS_N; o++) {
			if (!allows(v, o))
				continue;
			printf("complete -c jeton -n "
			       "'__fish_seen_subcommand_from %s' -l %s%s -d '",
			       v->name[n] ? v->name + n + 1 : v->name,
			       jt_option_name(o),
			       takes_path(o)	    ? " -r -F"
			       : jt_option_value(o) ? " -x"
						    : "");
			put_quoted(jt_option_text(o), true);
			puts("'");
		}
	}
}

int jt_cmd_completion(const struct jt_cmd *cmd)
{
	static const struct {
		const char *shell;
		void (*put)(void);
	} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (strcmp(cmd->operands[0], shells[i].shell) != 0)
			continue;
		shells[i].put();
		return 0;
	}
	return jt_fail(JT_EXIT_USAGE, "completion for which shell? bash, zsh "
				      "or fish");
}
