"""65,535 different limits are what a table takes: refused in time, and one
that nobody has any more makes room for another."""
import rig

PLANS = RATES = 256


def fill(site):
    """65,535 tokens, no two with the same plan and own rate. No quota is used
    up before the rate, so that `limit` tells the rate."""
    site.cli("init")
    for i in range(PLANS):
        site.cli("plan", "set", f"p{i}", "--quota", f"{i + 1}000/day")
    rows = "".join(f"t{i},p{i // RATES},{i % RATES + 1}/s\n"
                   for i in range(PLANS * RATES - 1))
    table = site.root / "in.csv"
    table.write_text("name,plan,rate\n" + rows)
    site.cli("create", "--from", table, "--out", site.root / "out.csv")
    return rig.values(site.root / "out.csv")


def refused(site, why, *args):
    before = site.journal.read_bytes()[4096:12288]
    done = site.cli(*args, rc=1)
    assert why in done.err and len(rig.lines(done.err)) == 1, done.err
    assert site.journal.read_bytes()[4096:12288] == before, "a commit"


def test_last_limits_are_refused_and_come_back(site):
    tokens = fill(site)
    new = ("--plan", f"p{PLANS - 1}", "--rate", f"{RATES}/s")
    for plan, rate in ((f"p{PLANS - 1}", f"{RATES}/s"), ("p0", "none"),
                       ("none", "1/s")):
        refused(site, "65,535 different limits", "set", tokens[0][:24],
                "--plan", plan, "--rate", rate)
    refused(site, "65,535 different limits", "create", "one more", *new)
    known = site.create("another", "--plan", "p7", "--rate", "8/s")

    site.start("--workers", "1")
    assert site.verify(known).limit == 8
    assert site.verify(tokens[-1]).limit == RATES - 1
    refused(site, "different limits", "create", "one more", *new)
    site.cli("set", tokens[0][:24], "--plan", "p7", "--rate", "8/s")

    def created():
        return site.cli("create", "one more", *new, rc=None)
    made = []

    def has_room():
        made.append(created())
        return made[-1].rc == 0
    rig.until(has_room, 5, "room for limits that a token gave up", 0.05)
    assert all("passed a round" in d.err for d in made[:-1])
    assert site.verify(made[-1].out.rstrip("\n")).limit == RATES
    assert site.verify(tokens[0]).limit == 8
    assert site.verify(tokens[-1]).limit == RATES - 1
