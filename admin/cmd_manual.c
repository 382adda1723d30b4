/*
 * manual: see manual.h. Everything that a verb's help says stands here, too,
 * so page and program cannot differ.
 */
#include "admin/manual.h"

#include <ctype.h>
#include <string.h>

static const char head[] =
	".Dd November 24, 2026\n"
	".Dt JETON 1\n"
	".Os\n"
	".Sh NAME\n"
	".Nm jeton\n"
	".Nd administer the API tokens of a host\n"
	".Sh SYNOPSIS\n"
	".Nm\n"
	".Op Fl -data Ar dir\n"
	".Op Fl -run Ar dir\n"
	".Ar verb\n"
	".Op Ar argument ...\n"
	".Sh DESCRIPTION\n"
	".Nm\n"
	"makes, shows, changes and ends API tokens.\n"
	"What it does is recorded in a journal,\n"
	".Xr jeton-journal 5 ,\n"
	"from which a sidecar on the same host,\n"
	".Xr jetond 8 ,\n"
	"answers whether a token is good.\n"
	"When a verb exits 0, the change is on the disk and in force for "
	"every\n"
	"request that is sent from then on.\n"
	".Pp\n"
	"A token is 64 characters.\n"
	"The first 24 are its id and no secret; every verb takes and shows "
	"ids.\n"
	"The whole value is printed once, when it is made, and never taken as "
	"an\n"
	"argument.\n"
	".Pp\n"
	"Answers go to standard output: as a table on a terminal, separated "
	"by\n"
	"tabs when piped, as JSON with\n"
	".Fl -json .\n"
	"Everything else goes to standard error.\n"
	".Sh VERBS\n"
	".Bl -tag -width Ds\n";

static const char tail[] =
	".El\n"
	".Sh ENVIRONMENT\n"
	".Bl -tag -width JETON_DATA\n"
	".It Ev JETON_DATA\n"
	"Directory of the journal, as\n"
	".Fl -data .\n"
	".It Ev JETON_RUN\n"
	"Directory of the sockets, as\n"
	".Fl -run .\n"
	".El\n"
	".Sh FILES\n"
	".Bl -tag -width Ds\n"
	".It Pa /var/lib/jeton , $XDG_STATE_HOME/jeton\n"
	"Journal, anchor and locks; of root, and of others.\n"
	".It Pa /run/jeton , $XDG_RUNTIME_DIR/jeton\n"
	"Sockets.\n"
	".El\n"
	".Sh EXIT STATUS\n"
	".Bl -tag -width Ds\n"
	".It 0\n"
	"Done; a change is durable and in force.\n"
	".It 1\n"
	"A negative answer: refused, not found, or there are some.\n"
	".It 2\n"
	"The command line cannot be understood.\n"
	".It 3\n"
	"The sidecar was not reached, or the change is not in force.\n"
	".It 4\n"
	"Trouble with the journal, a file or permissions.\n"
	".It 5\n"
	"In force, but not durable: a revoke that neither the journal nor the "
	"file\n"
	"deny could take.\nKeep the sidecar running and mend what is wrong.\n"
	".El\n"
	".Sh EXAMPLES\n"
	"Make a token for a service, and end it:\n"
	".Bd -literal -offset indent\n"
	"jeton create \"Production API\" --expires 90d --rate 100/s\n"
	"jeton list\n"
	"jeton revoke jt_live_Zk3mQ0v9XyTb41Rw\n"
	".Ed\n"
	".Sh SEE ALSO\n"
	".Xr jeton-journal 5 ,\n"
	".Xr jeton-protocol 7 ,\n"
	".Xr jetond 8\n";

/* Text that roff takes as it stands. */
static void put_line(FILE *out, const char *text, size_t n)
{
	if (n && (*text == '.' || *text == '\''))
		fputs("\\&", out);
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\\')
			fputs("\\e", out);
		else
			fputc(text[i], out);
	}
	fputc('\n', out);
}

static void put_more(FILE *out, const char *text)
{
	fputs(".Bd -literal\n", out);
	while (*text) {
		size_t n = strcspn(text, "\n");

		put_line(out, text, n);
		text += n + (text[n] == '\n');
	}
	fputs(".Ed\n", out);
}

/* `NAME`, `[ID...]`, `bash|zsh|fish` as arguments. */
static void put_operands(FILE *out, const char *text)
{
	fputs(" Ar ", out);
	for (; *text; text++)
		fputc(tolower((unsigned char)*text), out);
}

static void put_options(FILE *out, const struct jt_verb *v)
{
	if (!v->options)
		return;
	fputs(".Bl -tag -width Ds\n", out);
	for (enum jt_option o = 0; o < JT_OPTIONS_N; o++) {
		const char *value = jt_option_value(o);

		if (!(v->options >> o & 1))
			continue;
		fprintf(out, ".It Fl -%s", jt_option_name(o));
		if (value)
			put_operands(out, value);
		fputc('\n', out);
		put_line(out, jt_option_text(o), strlen(jt_option_text(o)));
	}
	fputs(".El\n", out);
}

static void put_verb(FILE *out, const struct jt_verb *v)
{
	fprintf(out, ".It Cm %s", v->name);
	if (*v->operands)
		put_operands(out, v->operands);
	fputc('\n', out);
	put_line(out, v->brief, strlen(v->brief));
	put_options(out, v);
	if (v->more)
		put_more(out, v->more);
}

void jt_manual(FILE *out)
{
	fputs(head, out);
	for (const struct jt_verb *v = jt_verbs; v->name; v++)
		put_verb(out, v);
	fputs(tail, out);
}
