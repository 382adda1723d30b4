/*
 * help_admin: see the header.
 */
#include "tests/help_admin.h"

#include "admin/change.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int heard = -1;
static off_t heard_to;

static void listen_from_now_on(const char *dir)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/said", dir);
	heard = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		     0600);
	cr_assert(heard >= 0);
	cr_assert(dup2(heard, STDOUT_FILENO) >= 0);
	cr_assert(dup2(heard, STDERR_FILENO) >= 0);
}

const char *help_said(void)
{
	static char text[1 << 20];
	ssize_t n;

	fflush(stdout);
	fflush(stderr);
	n = pread(heard, text, sizeof(text) - 1, heard_to);
	cr_assert(n >= 0);
	text[n] = '\0';
	heard_to += n;
	return text;
}

void help_admin_new(struct jt_cmd *cmd)
{
	struct jt_fault fault = {0};
	char dir[64];

	memset(cmd, 0, sizeof(*cmd));
	help_dir(dir);
	listen_from_now_on(dir);
	cr_assert_eq(jt_paths_resolve(&cmd->paths, dir, dir, &fault), 0);
	cr_assert_eq(jt_journal_create(&jt_io_os, dir, "jt", &fault), 0, "%s",
		     fault.line);
}

void help_admin_commit(const struct jt_cmd *cmd, struct jt_record *records,
		       size_t n)
{
	struct jt_change c;

	cr_assert_eq(jt_change_begin(&c, &cmd->paths), 0, "%s", help_said());
	cr_assert_eq(jt_change_commit(&c, records, n), 0, "%s", help_said());
	jt_change_end(&c);
}

struct jt_record help_admin_token(const struct jt_cmd *cmd,
				  struct help_token *token)
{
	struct jt_record r;

	help_token_make(token, "live");
	r = help_create(token);
	r.token.expires_s = (uint32_t)time(NULL) + 90 * 86400;
	help_admin_commit(cmd, &r, 1);
	return r;
}

void help_admin_fold(const struct jt_cmd *cmd, struct jt_catalog *catalog)
{
	struct jt_fault fault = {0};
	struct jt_journal j;

	cr_assert_eq(jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault),
		     0);
	cr_assert_eq(jt_catalog_init(catalog), 0);
	cr_assert_eq(jt_catalog_load(catalog, &j, &fault), 0, "%s", fault.line);
	jt_journal_close(&j);
}

void help_admin_file(const struct jt_cmd *cmd, char path[128],
		     const void *bytes, size_t n)
{
	FILE *f;

	snprintf(path, 128, "%s/text", cmd->paths.data);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(bytes, 1, n, f), n);
	cr_assert_eq(fclose(f), 0);
}
