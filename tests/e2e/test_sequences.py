"""Fifty verbs at random, then kill -9: what was said before is said again.

tests/stress_verbs.c does ten thousand such sequences in process; here are a
few with the real binaries, a daemon that follows and one that replays."""
import json
import random

import pytest

import rig
from rig import lines

MOVING = ("uses", "refusals", "quota_used", "last_used", "old_value_used",
          "used")


class Deployment:
    """Tokens at random, and every value that they ever had."""

    def __init__(self, site, seed):
        self.site, self.chance = site, random.Random(seed)
        self.ids, self.values, self.refused = [], [], 0
        site.cli("plan", "set", "p0", "--rate", "50/s")

    def run(self, *args):
        """It may be refused for what the token is by now: 1, nothing else."""
        done = self.site.cli(*args, rc=None)
        assert done.rc in (0, 1), (args, done)
        self.refused += done.rc
        return done

    def create(self):
        options = [x for x in (
            ["--expires", self.chance.choice(["1h", "30d", "1y", "never"])],
            ["--owner", f"owner {self.chance.randrange(4)}"],
            ["--env", self.chance.choice(["live", "test", "p"])],
            ["--rate", f"{self.chance.randrange(1, 99)}/min"],
            ["--quota", f"{self.chance.randrange(1, 99)}/day"],
            ["--plan", "p0"], ["--scope", f"s{self.chance.randrange(9)}:*"])
            if self.chance.random() < 0.5]
        value = self.run("create", f"t{len(self.ids)}", *sum(options, [])).out
        self.ids.append(value[:24])
        self.values.append(value.strip())

    def verb(self):
        if not self.ids or self.chance.random() < 0.15:
            self.create()
            return
        token = self.chance.choice(self.ids)
        n = self.chance.randrange(1, 60)
        args = self.chance.choice([
            ["renew", token, "--expires", f"{n}d"],
            ["renew", token, "--expires", f"{n}d", "--shorten"],
            ["rename", token, f"name {n}"],
            ["set", token, "--owner", f"owner {n % 5}"],
            ["set", token, "--rate", f"{n}/s", "--burst", f"{n * 2}"],
            ["set", token, "--quota", f"{n}/week", "--rate", "none"],
            ["set", token, "--plan", self.chance.choice(["p0", "p1", "none"])],
            ["set", token, "--scope", f"s{n}", "--scope", "a:*"],
            ["suspend", token], ["resume", token],
            ["rotate", token], ["rotate", token, "--overlap", "0"],
            ["rotate", token, "--force"], ["rotate", token, "--finish"],
            ["revoke", token], ["suspend", "--owner", f"owner {n % 5}",
                                "--yes"],
            ["resume", "--owner", f"owner {n % 5}", "--yes"],
            ["plan", "set", f"p{n % 2}", "--rate", f"{n}/s"],
            ["plan", "rm", "p1"], ["journal", "compact"]])
        if args[0] not in ("plan", "journal") and n % 3 == 0:
            args += ["--reason", f"because {n}"]
        done = self.run(*args)
        if args[0] == "rotate" and "--finish" not in args and done.rc == 0:
            self.values.append(done.out.strip())

    def said(self):
        with self.site.client() as c:
            verdicts = [c.verify(v, *ask, "COST", 0)
                        for v in self.values
                        for ask in ((), ("ENV", "live"), ("SCOPE", "a:b"))]
        listed = [{k: v for k, v in json.loads(x).items() if k not in MOVING}
                  for x in lines(self.site.cli("list", "--json").out)]
        return ([(v.word, v.id, v.limit, v.owner, v.notes) for v in verdicts],
                listed, self.site.cli("plan", "list", "--json").out,
                self.site.check())


@pytest.mark.parametrize("seed", range(20))
def test_fifty_verbs_and_a_crash(site, seed):
    daemon = site.start("--workers", "1")
    d = Deployment(site, seed)
    for _ in range(50):
        d.verb()
    assert d.refused < 40 and len(d.values) > 5
    before = d.said()
    daemon.kill()
    daemon = site.start("--workers", "2")
    assert d.said() == before
    site.cli("journal", "compact")
    assert d.said() == before
    daemon.kill()
    site.start("--workers", "1")
    assert d.said() == before
    words = {v[0] for v in before[0]}
    assert words <= set(rig.WORDS) and "VALID" in words
