/* peers: callers get one number each, and no more than is theirs. */
#include "sidecar/peers.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define S 1000000000ull

static struct help_table t;
static struct jt_peers one, two; /* at two desks */
static struct jt_settings rules;
static struct jt_rule *rule;
static int ends[2];

static void publish(void)
{
	jt_settings_publish(&t.maps, &rules);
	jt_peers_follow(&one);
	jt_peers_follow(&two);
}

static void start(void)
{
	help_table_new(&t, 64);
	jt_settings_default(&rules);
	rule = &rules.rules[rules.n_rules++];
	*rule = (struct jt_rule){.match = JT_RULE_ANYBODY, .verify = 1};
	jt_peers_init(&one, &t.reader, 0);
	jt_peers_init(&two, &t.reader, JT_WORKERS_MAX - 1);
	publish();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

TestSuite(peers, .init = start, .timeout = 30);

static struct jt_caller join(struct jt_peers *p)
{
	struct jt_caller c;

	cr_assert_eq(jt_peers_join(p, ends[0], &c), 0);
	return c;
}

static struct jt_calls *calls(unsigned desk, uint32_t number)
{
	return &t.maps.calls[desk * JT_PEERS_MAX + number];
}

/* ---- numbers ---- */

Test(peers, caller_is_who_the_kernel_says)
{
	struct jt_caller c = join(&one);

	cr_expect_eq(c.uid, geteuid());
	cr_expect_eq(c.gid, getegid());
	cr_expect_eq(c.number, 1);
	cr_expect_eq(t.maps.peers[1].uid, (uint64_t)geteuid() + 1);
	cr_expect_eq(jt_caller_by(&c), (uint64_t)geteuid() + 1);
	cr_expect_eq(jt_peers_rule(&one, &c), &one.settings.rules[0]);
}

Test(peers, what_is_no_socket_is_nobody)
{
	struct jt_caller c;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_expect_eq(jt_peers_join(&one, fds[0], &c), -ENOTSOCK);
	cr_expect_eq(jt_peers_join(&one, -1, &c), -EBADF);
	cr_expect_eq(t.maps.peers[1].uid, 0);
}

Test(peers, one_uid_has_one_number_at_all_desks)
{
	t.maps.peers[1].uid = (uint64_t)geteuid() + 2;
	cr_expect_eq(join(&one).number, 2);
	cr_expect_eq(join(&two).number, 2);
	cr_expect_eq(join(&one).number, 2);
	cr_expect_eq(t.maps.peers[3].uid, 0);
}

Test(peers, who_finds_no_place_is_one_of_the_others)
{
	struct jt_caller c;

	for (unsigned i = 1; i < JT_PEERS_MAX; i++)
		t.maps.peers[i].uid = (uint64_t)geteuid() + 1 + i;
	c = join(&one);
	cr_expect_eq(c.number, 0);
	cr_expect_eq(c.uid, geteuid(), "its rule is its own all the same");
	cr_expect_eq(calls(0, 0)->connections, 1);
	t.maps.peers[JT_PEERS_MAX - 1].uid = (uint64_t)geteuid() + 1;
	cr_expect_eq(join(&one).number, JT_PEERS_MAX - 1);
}

Test(peers, who_has_no_uid_is_one_of_the_others)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct jt_caller c;

	cr_assert_eq(jt_peers_join(&one, fd, &c), 0);
	cr_expect_eq(c.number, 0);
	cr_expect_eq(jt_caller_by(&c), 0);
}

#define RACERS 6u

static pid_t race(void (*run)(unsigned i), unsigned i)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0) {
		run(i);
		_exit(0);
	}
	return pid;
}

static void race_all(void (*run)(unsigned i))
{
	for (unsigned i = 0; i < RACERS; i++)
		race(run, i);
	for (unsigned i = 0; i < RACERS; i++) {
		int status = -1;

		cr_assert(wait(&status) > 0);
		cr_expect_eq(status, 0);
	}
}

static void claim(unsigned i)
{
	struct jt_caller c;

	for (unsigned round = 0; round < 200; round++) {
		jt_peers_init(&one, &t.reader, i);
		if (jt_peers_join(&one, ends[0], &c) || c.number != 1)
			_exit(1);
	}
}

Test(peers, racing_workers_claim_one_number)
{
	race_all(claim);
	cr_expect_eq(t.maps.peers[2].uid, 0);
}

/* ---- rules ---- */

static uint32_t seen_gid;

static void child_groups(unsigned i)
{
	const gid_t groups[] = {60001, 60002};
	struct jt_caller c;
	int pair[2];

	if (geteuid() == 0 && setgroups(2, groups))
		_exit(1);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    jt_peers_join(&one, pair[0], &c))
		_exit(2);
	_exit(strcmp(jt_peers_rule(&one, &c)->name, "group") ? 3 : 0);
}

Test(peers, supplementary_groups_count)
{
	gid_t mine[64];
	int n = getgroups(64, mine), status;

	/* whoever is not root has the groups that it has */
	seen_gid = geteuid() == 0 ? 60002 : n > 0 ? mine[n - 1] : getegid();
	*rule = (struct jt_rule){
		.name = "group", .match = JT_RULE_GID, .id = seen_gid};
	publish();
	cr_assert(race(child_groups, 0) > 0 && wait(&status) > 0);
	cr_expect_eq(WEXITSTATUS(status), 0);
	rule->id = 60003;
	publish();
	cr_assert(race(child_groups, 0) > 0 && wait(&status) > 0);
	cr_expect_eq(WEXITSTATUS(status), 3, "not one of them");
}

Test(peers, rule_is_looked_up_again_when_rules_change)
{
	struct jt_caller c = join(&one);

	cr_expect_eq(jt_peers_rule(&one, &c)->verify, 1);
	rule->match = JT_RULE_UID;
	rule->id = geteuid() + 1;
	publish();
	cr_expect_eq(jt_peers_rule(&one, &c)->verify, 0);
	cr_expect_str_eq(jt_peers_rule(&one, &c)->name, "nobody");
	rules.n_rules = 0;
	publish();
	cr_expect_eq(jt_peers_rule(&one, &c)->verify, 1);
}

/* ---- connections ---- */

Test(peers, connections_of_all_desks_count)
{
	struct jt_caller c, last;

	rule->connections_max = 3;
	publish();
	join(&one);
	join(&two);
	last = join(&two);
	cr_expect_eq(jt_peers_join(&one, ends[0], &c), JT_PEERS_E_BUSY);
	cr_expect_eq(jt_peers_join(&two, ends[0], &c), JT_PEERS_E_BUSY);
	cr_expect_eq(calls(0, 1)->connections, 1);
	cr_expect_eq(calls(0, 1)->busy, 1);
	cr_expect_eq(calls(JT_WORKERS_MAX - 1, 1)->busy, 1);
	jt_peers_leave(&two, &last);
	cr_expect_eq(jt_peers_join(&one, ends[0], &c), 0);
}

Test(peers, other_users_do_not_count)
{
	rule->connections_max = 1;
	publish();
	calls(7, 2)->connections = 1000;
	join(&one);
}

Test(peers, count_that_others_wrote_never_wraps)
{
	struct jt_caller c = join(&one);

	calls(0, 1)->connections = 0;
	jt_peers_leave(&one, &c);
	cr_expect_eq(calls(0, 1)->connections, 0);
}

static _Atomic uint64_t *inside;

static void come_and_go(unsigned i)
{
	struct jt_caller c;

	jt_peers_init(&one, &t.reader, i);
	jt_peers_follow(&one);
	for (unsigned n = 0; n < 3000;) {
		/* others are to run while this one is inside, or outside */
		sched_yield();
		if (jt_peers_join(&one, ends[0], &c))
			continue;
		if (jt_add_relaxed(inside, 1) >= 1)
			_exit(1);
		sched_yield();
		jt_add_relaxed(inside, -1ull);
		jt_peers_leave(&one, &c);
		n++;
	}
}

Test(peers, racing_workers_never_let_in_one_too_many)
{
	inside = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	rule->connections_max = 1;
	publish();
	race_all(come_and_go);
	cr_expect_eq(*inside, 0);
	for (unsigned i = 0; i < RACERS; i++)
		cr_expect_eq(calls(i, 1)->connections, 0);
}

/* ---- refusals ---- */

static struct jt_caller limited(uint32_t per_s)
{
	struct jt_caller c = join(&one);

	rule->refusals_per_s = per_s;
	publish();
	jt_peers_rule(&one, &c);
	return c;
}

static void refuse(struct jt_peers *p, const struct jt_caller *c, uint64_t n,
		   struct jt_now now)
{
	jt_peers_tell(p, c, &(struct jt_peer_share){.refused = n}, now);
}

Test(peers, refusals_of_all_desks_count)
{
	struct jt_caller c = limited(100), d = join(&two);
	struct jt_now now = help_now();

	refuse(&one, &c, 60, now);
	cr_expect_not(jt_peers_spent(&one, &c, now));
	refuse(&two, &d, 40, now);
	cr_expect(jt_peers_spent(&one, &c, now));
	cr_expect(jt_peers_spent(&two, &d, now));
	now.boot_ns += S / 100 - 1;
	cr_expect(jt_peers_spent(&one, &c, now));
	now.boot_ns++;
	cr_expect_not(jt_peers_spent(&one, &c, now));
}

Test(peers, what_is_admitted_costs_nothing)
{
	struct jt_caller c = limited(1);

	jt_peers_tell(&one, &c, &(struct jt_peer_share){1000, 0, 1000},
		      help_now());
	cr_expect_not(jt_peers_spent(&one, &c, help_now()));
	cr_expect_eq(calls(0, 1)->admitted, 1000);
	cr_expect_eq(calls(0, 1)->busy, 1000);
	cr_expect_eq(calls(0, 1)->refused, 0);
}

/* Whatever they do, no more than this is looked up in vain. */
Test(peers, flood_gets_what_its_limit_says)
{
	struct jt_caller c = limited(50);
	struct jt_now now = help_now();
	uint64_t refused = 0;

	for (unsigned ms = 0; ms < 10000; ms++) {
		now.boot_ns += S / 1000;
		if (jt_peers_spent(&one, &c, now))
			continue;
		refuse(&one, &c, 3, now);
		refused += 3;
	}
	/* a burst, and for each of ten seconds as many again */
	cr_expect_leq(refused, 50 + 500 + 3);
	cr_expect_geq(refused, 50 + 490);
}

Test(peers, nobody_is_shut_out_for_more_than_a_second)
{
	struct jt_caller c = limited(4000000000u);
	struct jt_now now = help_now();

	refuse(&one, &c, UINT64_MAX, now);
	now.boot_ns += 5 * S; /* a nanosecond is the shortest interval */
	cr_expect_not(jt_peers_spent(&one, &c, now));
	c = limited(1);
	now.boot_ns += 100 * S;
	refuse(&one, &c, 1000000, now);
	now.boot_ns += S;
	cr_expect(jt_peers_spent(&one, &c, now));
	now.boot_ns += S;
	cr_expect_not(jt_peers_spent(&one, &c, now));
}

Test(peers, meter_that_others_wrote_shuts_out_and_nothing_else)
{
	struct jt_caller c = limited(10);

	t.maps.peers[1].refusals.rate = UINT64_MAX;
	cr_expect(jt_peers_spent(&one, &c, help_now()));
	refuse(&one, &c, 5, help_now());
	t.maps.peers[1].refusals.rate = 0;
	cr_expect_not(jt_peers_spent(&one, &c, help_now()));
}

/* ---- rows ---- */

Test(peers, rows_are_sums_over_all_desks)
{
	struct jt_peer_row rows[JT_PEERS_MAX];
	struct jt_caller c = join(&one), d = join(&two);

	cr_expect_eq(jt_peers_sum(&t.reader, rows), 1, "no others");
	jt_peers_tell(&one, &c, &(struct jt_peer_share){1, 2, 3}, help_now());
	jt_peers_tell(&two, &d, &(struct jt_peer_share){10, 20, 30},
		      help_now());
	calls(5, 0)->busy = 4;
	cr_assert_eq(jt_peers_sum(&t.reader, rows), 2);
	cr_expect_eq(rows[0].uid, 0);
	cr_expect_eq(rows[0].busy, 4);
	cr_expect_eq(rows[1].uid, (uint64_t)geteuid() + 1);
	cr_expect_eq(rows[1].connections, 2);
	cr_expect_eq(rows[1].admitted, 11);
	cr_expect_eq(rows[1].refused, 22);
	cr_expect_eq(rows[1].busy, 33);
}
