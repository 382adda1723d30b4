/* bulk, draft, issue, outfile: a table becomes records, or nothing happens. */
#include "admin/bulk.h"
#include "admin/output.h"
#include "admin/outfile.h"
#include "admin/random.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1795463809u

static char dir[64], file[96], said[8192];
static struct jt_issue issue;
static const char *defaults[JT_COLUMNS_N];

static void setup(void)
{
	cr_assert(sodium_init() >= 0);
	strcpy(dir, "/tmp/jeton-bulk-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/in.csv", dir);
	memset(defaults, 0, sizeof(defaults));
	cr_assert_eq(jt_issue_init(&issue), 0);
}

static void teardown(void)
{
	jt_issue_deinit(&issue);
	unlink(file);
	rmdir(dir);
}

TestSuite(bulk, .init = setup, .fini = teardown);

/* Read a table of N bytes; what was said on stderr is in `said`. */
static int read_bytes(const char *text, size_t n)
{
	char err[128];
	int fd, old, e;
	FILE *f = fopen(file, "w");

	fwrite(text, 1, n, f);
	fclose(f);
	snprintf(err, sizeof(err), "%s/err", dir);
	fd = open(err, O_RDWR | O_CREAT | O_TRUNC, 0600);
	old = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	e = jt_bulk_read(file, defaults, NOW, &issue);
	dup2(old, STDERR_FILENO);
	close(old);
	memset(said, 0, sizeof(said));
	cr_assert(pread(fd, said, sizeof(said) - 1, 0) >= 0);
	close(fd);
	unlink(err);
	return e;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static const struct jt_record *row(size_t i)
{
	return &issue.records[i];
}

static const struct jt_limit *limit_of(size_t i)
{
	size_t n;
	const struct jt_limit *l =
		jt_distinct_get(&issue.limits, row(i)->token.own, &n);

	cr_assert_eq(n, sizeof(*l));
	return l;
}

static void has_text(const struct jt_distinct *d, uint16_t place,
		     const char *want)
{
	size_t n;
	const char *text = jt_distinct_get(d, place, &n);

	cr_assert_eq(n, strlen(want));
	cr_assert_eq(memcmp(text, want, n), 0);
}

static void says(const char *what)
{
	cr_assert_not_null(strstr(said, what), "`%s` is not in: %s", what,
			   said);
}

Test(bulk, takes_every_column_in_any_order)
{
	cr_assert_eq(read_text("burst,scopes,rate,owner,env,plan,expires,quota,"
			       "name\n"
			       "7,b:* a,5/s,web,dev,gold,30d,9/day,one\n"
			       ",,,,,,,,two\n"),
		     0);
	cr_assert_eq(issue.n, 2);
	cr_assert_str_eq(row(0)->token.name, "one");
	cr_assert_str_eq(row(0)->token.owner, "web");
	cr_assert_str_eq(row(0)->env, "dev");
	cr_assert_eq(row(0)->token.expires_s, NOW + 30 * 86400);
	cr_assert_eq(limit_of(0)->rate, 5);
	cr_assert_eq(limit_of(0)->burst, 7);
	cr_assert_eq(limit_of(0)->quota, 9);
	cr_assert_eq(limit_of(0)->quota_unit, JT_QUOTA_DAY);
	has_text(&issue.plans, row(0)->token.plan, "gold");
	has_text(&issue.sets, row(0)->token.scope_set, "a b:*");
	cr_assert_str_eq(row(1)->token.name, "two");
	cr_assert_str_eq(row(1)->env, "live");
	cr_assert_eq(row(1)->token.owner[0], '\0');
	cr_assert_eq(row(1)->token.expires_s, NOW + 90 * 86400);
	cr_assert_eq(row(1)->token.plan, 0);
	cr_assert_eq(row(1)->token.own, 0);
	cr_assert_eq(row(1)->token.scope_set, 0);
}

Test(bulk, takes_what_spreadsheets_write)
{
	cr_assert_eq(read_text("\xef\xbb\xbfname,owner\r\n"
			       "\"a, \"\"b\"\"\",x\r\n"
			       "\r\n"
			       "c\r\n"
			       "d,\r\n"
			       "\"last\""),
		     0);
	cr_assert_eq(issue.n, 4);
	cr_assert_str_eq(row(0)->token.name, "a, \"b\"");
	cr_assert_str_eq(row(1)->token.name, "c");
	cr_assert_str_eq(row(2)->token.name, "d");
	cr_assert_str_eq(row(3)->token.name, "last");
}

Test(bulk, options_fill_empty_cells)
{
	defaults[JT_COL_env] = "test";
	defaults[JT_COL_rate] = "9/s";
	cr_assert_eq(read_text("name,env\na,\nb,live\n"), 0);
	cr_assert_str_eq(row(0)->env, "test");
	cr_assert_str_eq(row(1)->env, "live");
	cr_assert_eq(row(1)->token.own, 1);
	cr_assert_eq(issue.limits.n, 1);
}

Test(bulk, interns_limits_and_owners)
{
	cr_assert_eq(read_text("name,rate,burst,owner\n"
			       "a,5/s,,web\nb,5/s,5,web\nc,5/s,6,api\nd,,,\n"),
		     0);
	cr_assert_eq(issue.limits.n, 2);
	cr_assert_eq(row(0)->token.own, 1);
	cr_assert_eq(row(1)->token.own, 1);
	cr_assert_eq(row(2)->token.own, 2);
	cr_assert_eq(row(3)->token.own, 0);
	cr_assert_eq(issue.owner_bytes, 8);
}

static void refused(const char *text, const char *what)
{
	cr_assert_eq(read_text(text), JT_EXIT_USAGE, "%s", text);
	says(what);
}

Test(bulk, refuses_headers)
{
	refused("name,color\na,b\n", "`color`");
	refused("owner\na\n", "no column `name`");
	refused("name,name\na,b\n", "twice");
	refused("", "no rows");
	refused("name\n", "no rows");
	refused("Name\na\n", "`Name`");
}

Test(bulk, names_line_and_column)
{
	refused("name,expires\na,90d\nb,5y\n", ":3: expires is more than 4");
	refused("name,env\na,LIVE\n", ":2: env is not");
	refused("name,rate\na,fast\n", ":2: rate is not");
	refused("name,rate,burst\na,,5\n", ":2: burst is given without");
	refused("name,quota\na,5\n", ":2: quota is not");
	refused("name,plan\na,Gold\n", ":2: plan is no plan's");
	refused("name,scopes\na,b::c\n", ":2: scopes holds a name");
	refused("name,scopes\na,jt_live_"
		"Zk3mQ0v9XyTb41RwabcdefghijklmnopqrstuvwxyzA"
		"BCDE\n",
		":2: scopes holds a token value");
	refused("name,owner\n\n\n,x\n", ":4: name is empty");
	refused("name\na\x1b\n", ":2: name holds a control");
	refused("name\n\"two\nlines\"\nb\n", ":2: name holds a control");
	refused("name,owner\na,b,c\n", ":2: the row has more cells");
	refused("name\n"
		"\xff\n",
		":2: name is not valid UTF-8");
	says("nothing was created");
}

Test(bulk, refuses_long_cells)
{
	char text[4096] = "name\n";

	memset(text + 5, 'x', 65);
	refused(text, "name is longer than 64 bytes");
	memset(text + 5, 'x', 2047);
	refused(text, "name is longer than 64 bytes");
	memset(text + 5, 'x', 2048);
	refused(text, "name is far too long");
}

Test(bulk, refuses_zero_bytes)
{
	cr_assert_eq(read_bytes("name\na\0b\n", 9), JT_EXIT_USAGE);
	says(":2: name holds a zero byte");
}

Test(bulk, refuses_broken_quotes)
{
	refused("name\na\"b\"\n", "not CSV");
	refused("name\n\"a\"b\n", "not CSV");
	refused("name\n\"a\n", "not CSV");
}

Test(bulk, refuses_endless_rows)
{
	size_t n = 200000;
	char *text = malloc(n);

	memset(text, 'x', n);
	memcpy(text, "name\n\"", 6);
	cr_assert_eq(read_bytes(text, n), JT_EXIT_USAGE);
	says("longer than 65536 bytes");
	free(text);
}

Test(bulk, refuses_a_token_as_a_name)
{
	refused("name\njt_live_Zk3mQ0v9XyTb41RwabcdefghijklmnopqrstuvwxyzABC\n",
		":2: name holds a token value");
	cr_assert_null(strstr(said, "jt_live"));
}

Test(bulk, shows_ten_faults_and_counts_all)
{
	char text[1024] = "name,env\n";
	size_t lines = 0;

	for (int i = 0; i < 30; i++)
		strcat(text, "a,B\n");
	refused(text, "30 faults");
	for (const char *c = said; *c; c++)
		lines += *c == '\n';
	cr_assert_eq(lines, 11);
	cr_assert_eq(issue.n, 0);
}

Test(bulk, a_file_that_is_not_there)
{
	cr_assert_eq(jt_bulk_read("/nowhere/x.csv", defaults, NOW, &issue),
		     JT_EXIT_FILE);
	cr_assert_eq(jt_bulk_read("/tmp", defaults, NOW, &issue), JT_EXIT_FILE);
}

Test(bulk, makes_values)
{
	char a[JT_TOKEN_BYTES], b[JT_TOKEN_BYTES];
	uint8_t digest[JT_VALUE_DIGEST];

	strcpy(issue.prefix, "acme");
	cr_assert_eq(read_text("name,env\na,dev2\nb,\n"), 0);
	jt_issue_make(&issue, 0, a);
	jt_issue_make(&issue, 1, b);
	cr_assert_eq(memcmp(a, "acme_dev2_", 10), 0);
	cr_assert_eq(memcmp(b, "acme_live_", 10), 0);
	cr_assert_eq(memcmp(row(0)->token.id, a, JT_ID_BYTES), 0);
	jt_token_digest((const uint8_t *)a, digest);
	cr_assert_eq(memcmp(row(0)->token.digest, digest, 32), 0);
	cr_assert_null(memmem(row(0), 2 * sizeof(*row(0)), a + JT_ID_BYTES, 8));
}

/* Pooled bytes are as good as the kernel's: no piece comes twice. */
Test(bulk, the_random_pool_never_repeats)
{
	enum {
		N = 3000,
		BYTES = 24
	};
	static uint8_t seen[N][BYTES];
	static const uint8_t zeros[BYTES];
	unsigned ones = 0;

	jt_random_pool();
	for (size_t i = 0; i < N; i++) {
		/* lengths that never divide the pool's */
		randombytes_buf(seen[i], BYTES - (i % 2));
		cr_assert_neq(memcmp(seen[i], zeros, BYTES - 1), 0);
		for (size_t j = 0; j < i; j++)
			cr_assert_neq(memcmp(seen[i], seen[j], 8), 0);
		ones += (unsigned)__builtin_popcount(seen[i][0]);
	}
	/* 24,000 bits: 12,000 ones, six standard deviations are 465 */
	cr_assert(ones > 11500 && ones < 12500, "%u", ones);
	cr_assert(randombytes_uniform(10) < 10);
}

Test(bulk, writes_a_table_that_reads_back)
{
	static const char token[JT_TOKEN_BYTES + 1] =
		"jt_live_"
		"Zk3mQ0v9XyTb41RwabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	struct jt_record r;

	memset(&r, 0, sizeof(r));
	memcpy(r.token.id, token, JT_ID_BYTES);
	jt_bulk_write_header(out);
	memcpy(r.token.name, "plain", 5);
	jt_bulk_write(out, &r, token);
	memcpy(r.token.name, "a,\"b\"", 5);
	jt_bulk_write(out, &r, token);
	memcpy(r.token.name, " abc ", 5);
	jt_bulk_write(out, &r, token);
	fclose(out);
	cr_assert_not_null(strstr(text, "id,name,token\n"));
	cr_assert_not_null(strstr(text, ",plain,jt_live_"));
	cr_assert_not_null(strstr(text, ",\"a,\"\"b\"\"\",jt_live_"));
	cr_assert_not_null(strstr(text, ",\" abc \",jt_live_"));
	free(text);
}

Test(bulk, the_file_appears_complete_or_not_at_all)
{
	struct jt_outfile f;
	struct stat st;
	char path[96];

	snprintf(path, sizeof(path), "%s/out", dir);
	cr_assert_eq(jt_outfile_open(&f, path), 0);
	fputs("secret\n", f.file);
	cr_assert_eq(stat(f.temp, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(jt_outfile_sync(&f), 0);
	cr_assert_neq(stat(path, &st), 0);
	cr_assert_eq(jt_outfile_publish(&f), 0);
	jt_outfile_discard(&f);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_size, 7);
	cr_assert_eq(st.st_mode & 0777, 0600);
	/* it is never overwritten */
	cr_assert_eq(jt_outfile_open(&f, path), JT_EXIT_FILE);
	unlink(path);
}

Test(bulk, a_name_taken_meanwhile_is_left_alone)
{
	struct jt_outfile f;
	char path[96], temp[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/out", dir);
	cr_assert_eq(jt_outfile_open(&f, path), 0);
	strcpy(temp, f.temp);
	fputs("secret\n", f.file);
	cr_assert_eq(jt_outfile_sync(&f), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(jt_outfile_publish(&f), JT_EXIT_FILE);
	jt_outfile_discard(&f);
	/* the values are still where the message said */
	cr_assert_eq(stat(temp, &st), 0);
	cr_assert_eq(st.st_size, 7);
	unlink(temp);
	unlink(path);
}

Test(bulk, a_discarded_file_is_gone)
{
	struct jt_outfile f;
	char path[96], temp[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/out", dir);
	cr_assert_eq(jt_outfile_open(&f, path), 0);
	strcpy(temp, f.temp);
	jt_outfile_discard(&f);
	jt_outfile_discard(&f);
	cr_assert_neq(stat(temp, &st), 0);
	cr_assert_eq(jt_outfile_open(&f, "-"), JT_EXIT_USAGE);
	cr_assert_eq(jt_outfile_open(&f, "/nowhere/x"), JT_EXIT_FILE);
}

/* ---- with a column more ---- */

static char told[256];

static int one_row(void *ctx, uint64_t line, const struct jt_draft *d,
		   const char *cell, const char **columnp, char why[JT_WHY_MAX])
{
	size_t n = strlen(told);

	if (strcmp(cell, "odd") == 0) {
		*columnp = "extra";
		strcpy(why, "is odd");
		return JT_BULK_BAD;
	}
	snprintf(told + n, sizeof(told) - n, "%d:%s=%s ", (int)line, d->name,
		 cell);
	return strcmp(cell, "stop") == 0 ? JT_EXIT_NO : 0;
}

static int bad_row(void *ctx, uint64_t line, const char *column,
		   const char *why)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof(told) - n, "%d!%s %s ", (int)line, column,
		 why);
	return 0;
}

static int read_rows(const char *text, struct jt_bulk *b)
{
	FILE *f = fopen(file, "w");

	fputs(text, f);
	fclose(f);
	*b = (struct jt_bulk){.path = file,
			      .defaults = defaults,
			      .extra = "extra",
			      .now_s = NOW,
			      .row = one_row,
			      .bad = bad_row};
	told[0] = '\0';
	return jt_bulk_rows(b);
}

Test(bulk, gives_rows_with_one_more_column)
{
	struct jt_bulk b;

	cr_assert_eq(
		read_rows("extra,name\nx,a\n,b\nodd,c\nz,\nz,e,f\ny,d\n", &b),
		0);
	cr_assert_str_eq(told, "2:a=x 3:b= 4!extra is odd 5!name is empty "
			       "6!the row has more cells than the header "
			       "7:d=y ");
	cr_assert_eq(b.rows, 6);
	cr_assert_eq(b.faults, 3);
	cr_assert_eq(read_rows("extra,name\nstop,a\nx,b\n", &b), JT_EXIT_NO);
	cr_assert_str_eq(told, "2:a=stop ");
}

Test(bulk, one_more_column_must_be_there)
{
	struct jt_bulk b;

	cr_assert_eq(read_rows("name\na\n", &b), JT_EXIT_USAGE);
	cr_assert_eq(read_rows("extra,name,extra\nx,a,y\n", &b), JT_EXIT_USAGE);
	cr_assert_eq(read_rows("extra\nx\n", &b), JT_EXIT_USAGE);
	refused("name,extra\na,b\n", "`extra`"); /* not with create */
}
