"""What explains itself: help, manual pages, completion, scanner rules, and
where `make install` puts them."""
import json
import os
import re
import signal
import subprocess

import pytest

import rig

VERB = re.compile(r"^  ([a-z][a-z-]*(?: [a-z]+)?)\s{2,}\S", re.M)


def run(*command, **kw):
    return subprocess.run(command, capture_output=True, text=True, timeout=60,
                          **kw)


def jeton(*args):
    done = run(rig.JETON, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verbs():
    found = VERB.findall(jeton("help"))
    assert {"create", "revoke", "journal check"} <= set(found)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A `make install`; the build is done, so this only copies."""
    dest = tmp_path_factory.mktemp("dest")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = run("make", "-s", "install", f"DESTDIR={dest}",
               f"FLAVOUR={rig.BIN.name}", cwd=rig.ROOT, env=env)
    assert done.returncode == 0, done.stderr
    yield dest / "usr/local"
    done = run("make", "-s", "uninstall", f"DESTDIR={dest}",
               f"FLAVOUR={rig.BIN.name}", cwd=rig.ROOT, env=env)
    assert done.returncode == 0, done.stderr
    left = [p for p in dest.rglob("*") if p.is_file()]
    assert not left, left


def test_every_verb_has_help_with_usage_and_options():
    for verb in verbs():
        text = jeton("help", *verb.split())
        assert f"usage: jeton {verb}" in text
        assert "--data" in text
        assert text == jeton(*verb.split(), "--help")


def test_every_verb_has_an_example():
    for verb in verbs():
        before, _ = jeton("help", *verb.split()).split("\noptions:")
        assert re.search(rf"^(?!usage).*\bjeton {verb}( |$)", before, re.M) \
            or verb == "help", verb


def test_no_filter_claims_a_default():
    """`list` shows every environment, whatever `create` takes."""
    for verb in verbs():
        _, options = jeton("help", *verb.split()).split("\noptions:")
        for line in options.splitlines():
            assert "default" not in line or not re.match(
                r" *--(env|expires|rate|owner|plan|name|status) ", line), line


def test_help_fits_80_columns():
    for verb in [()] + [v.split() for v in verbs()]:
        for line in jeton("help", *verb).splitlines():
            assert len(line) <= 80, line


# ---- --json of every verb ----

# What each verb needs to answer something; None: it speaks another language.
# {new}: an id that nobody uses otherwise.
JSON_ARGS = {
    "init": "--data {fresh}", "create": "x",
    "import": "--scheme sha256-hex {csv}",
    "list": "", "expiring": "", "unused": "--days 0", "show": "{id}",
    "renew": "{id} --expires 1y", "rename": "{id} y", "set": "{id} --owner o",
    "suspend": "{id}", "resume": "{id}", "rotate": "{new}",
    "revoke": "{new}", "purge": "--dead-for 0 --yes",
    "plan set": "silver --rate 5/s", "plan list": "", "plan rm": "unused",
    "notify run": "", "copy": "{kept} --passphrase-file {passphrase}",
    "vault init": "--passphrase-file {passphrase}", "verify": "--file {file}",
    "why": "{id}", "top": "", "history": "{id}", "audit": "", "status": "",
    "journal check": "", "journal dump": "", "journal tail": "",
    "journal compact": "", "journal backup": "{backup}",
    "journal rescue": "", "journal accept": "{receipt}", "upgrade": "",
    "scan-rules": None, "completion": None, "help": None,
}
SOME_ARE = ("expiring", "unused")  # exit 1, and they are told
NEED_A_SIDECAR = ("verify", "why", "top", "status", "revoke",
                  "upgrade")


@pytest.fixture(scope="module")
def stocked():
    """A site with something to say for every verb."""
    with rig.a_site() as s:
        s.places = {p: s.root / p for p in ("csv", "passphrase", "file")}
        for place, text in (("csv", "name,digest\nz," + "ab" * 32 + "\n"),
                            ("passphrase", "correct horse battery\n")):
            s.places[place].write_text(text)
            s.places[place].chmod(0o600)
        s.cli("init")
        s.cli("vault", "init", "--passphrase-file", s.places["passphrase"])
        s.cli("plan", "set", "gold", "--rate", "5/s")
        token = s.create("x", "--expires", "5d", "--plan", "gold", "--scope",
                         "a:b")
        s.places["file"].write_text(token)
        s.places["id"] = token[:24]
        s.places["kept"] = s.create("kept", "--recoverable")[:24]
        yield s


def json_answer(site, verb, n):
    """What VERB --json says, each line of it parsed, and its exit code."""
    if verb == "vault init":
        (site.data / "vault").rename(site.root / f"vault{n}")
    if verb == "plan rm":
        site.cli("plan", "set", "unused", "--rate", "1/s", rc=None)
    new = site.create("new", "--expires", "5d")[:24]
    end = site.dump()[-1]
    args = JSON_ARGS[verb].format(
        **site.places, new=new,
        backup=site.root / f"backup{n}", fresh=site.root / f"fresh{n}",
        receipt=f"{end['number']}:{end['tag']}").split()
    done = site.cli(*verb.split(), *args, "--json", rc=None)
    if verb == "vault init":
        (site.root / f"vault{n}").rename(site.data / "vault")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert all(type(a) is dict for a in answers), (verb, done)
    return answers, done


def test_json_of_every_verb_parses(stocked):
    assert set(JSON_ARGS) == set(verbs())  # a new verb belongs into the table
    stocked.start("--workers", "1")
    for verb, args in JSON_ARGS.items():
        if args is None:
            done = stocked.cli(*verb.split(), "--json", rc=2)
            assert done.out == "" and "--json" in done.err
            continue
        answers, done = json_answer(stocked, verb, 1)
        assert answers, (verb, done)
        assert done.rc == (verb in SOME_ARE), (verb, done)
    keeper = stocked.keeper()  # another one, since the upgrade
    stocked.signal_keeper(signal.SIGTERM)
    rig.until(lambda: not rig.alive(keeper), 20, "it has stopped")
    for verb in (v for v, args in JSON_ARGS.items() if args is not None):
        answers, done = json_answer(stocked, verb, 2)
        assert done.rc == (3 if verb in NEED_A_SIDECAR else
                           verb in SOME_ARE), (verb, done)


def test_unknown_verb_is_refused_with_what_to_do():
    done = run(rig.JETON, "help", "frobnicate")
    assert done.returncode == 2 and "jeton help" in done.stderr


def test_manual_has_every_verb_and_every_option():
    page = jeton("help", "--man")
    for verb in verbs():
        assert re.search(rf"^\.It Cm {verb}( |$)", page, re.M), verb
        for option in re.findall(r"^  --([a-z-]+)",
                                 jeton("help", *verb.split()), re.M):
            if option not in ("data", "run", "help", "version"):
                assert re.search(rf"^\.It Fl -{option}( |$)", page, re.M)


def test_manual_pages_are_clean_under_mandoc_lint(installed):
    pages = sorted((installed / "share/man").rglob("*.[1-8]"))
    assert [p.name for p in pages] == [
        "jeton.1", "libjeton.3", "jeton-journal.5", "jetond.conf.5", "jeton-http.7",
        "jeton-protocol.7", "jetond.8"]
    missing = "referenced manual not found: Xr "  # what is installed here
    for page in pages:
        done = run("mandoc", "-T", "lint", "-W", "style", str(page))
        complaints = [line for line in
                      (done.stdout + done.stderr).splitlines()
                      if missing not in line and "makewhatis" not in line]
        assert not complaints
        text = run("mandoc", "-T", "utf8", "-O", "width=78", str(page)).stdout
        assert "SEE ALSO" in re.sub(".\b", "", text)


def test_binaries_are_installed_and_run(installed):
    for name in ("jeton", "jetond"):
        done = run(str(installed / "bin" / name), "--version")
        assert done.returncode == 0 and name in done.stdout


def test_first_word_alone_is_told_to_take_a_second():
    for first in {v.split()[0] for v in verbs() if " " in v}:
        for words in ([first], [first, "frobnicate"]):
            done = run(rig.JETON, *words)
            assert done.returncode == 2 and done.stdout == ""
            assert f"{first} takes a second word; `jeton help {first}`" \
                in done.stderr
    done = run(rig.JETON, "plane")
    assert done.returncode == 2 and "no such verb" in done.stderr


def bash_offers(script, words):
    line = " ".join(f"'{w}'" for w in words)
    done = run("bash", "-c", f"""
        source '{script}'
        COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}
        _jeton
        printf '%s\\n' "${{COMPREPLY[@]}}" """)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


def test_bash_offers_verbs_second_words_and_options(installed):
    script = installed / "share/bash-completion/completions/jeton"
    first = {v.split()[0] for v in verbs()}
    assert first <= set(bash_offers(script, ["jeton", ""]))
    assert bash_offers(script, ["jeton", "rev"]) == ["revoke"]
    assert "check" in bash_offers(script, ["jeton", "journal", ""])
    assert bash_offers(script, ["jeton", "journal", "check", "--exp"]) == \
        ["--expect"]
    assert bash_offers(script, ["jeton", "--data", "/x", "rotate", "--ov"]) \
        == ["--overlap"]
    assert "--overlap" not in bash_offers(script, ["jeton", "list", "--"])


def test_fish_offers_verbs_and_options(installed):
    script = installed / "share/fish/vendor_completions.d/jeton.fish"

    def offers(line):
        done = run("fish", "--no-config", "-c",
                   f"source '{script}'; complete -C '{line}'")
        assert done.returncode == 0 and not done.stderr, done.stderr
        return [row.split("\t")[0] for row in done.stdout.splitlines()]

    assert {v.split()[0] for v in verbs()} <= set(offers("jeton "))
    assert "check" in offers("jeton journal ")
    assert "--overlap" in offers("jeton rotate --ov")


def test_zsh_takes_the_completion(installed):
    script = installed / "share/zsh/site-functions/_jeton"
    done = run("zsh", "-f", "-c", f"""
        autoload -Uz compinit; compinit -D -u
        functions[_jeton]="$(<'{script}')"
        whence -w _jeton""")
    assert done.returncode == 0 and "function" in done.stdout, done.stderr
    assert run("zsh", "-n", str(script)).returncode == 0
    text = script.read_text()
    for verb in verbs():
        assert f"'{verb}:" in text


@pytest.mark.parametrize("prefix", ["jt", "acme"])
def test_scanner_rules_find_values_and_not_ids(site, prefix):
    site.cli("init", "--prefix", prefix)
    rules = site.cli("scan-rules", "gitleaks").out
    pattern = re.search(r"regex = '''(.*)'''", rules).group(1)
    flat = site.cli("scan-rules", "trufflehog").out
    assert pattern.strip(r"\b") in flat
    for env in ("a", "live", "stag12"):
        token = site.create("x", "--env", env)
        assert re.search(pattern, f"key={token};").group(0) == token
        assert not re.search(pattern, f"key={token[:24]};")
        assert not re.search(pattern, f"key={token[:-1]};")
    done = site.cli("scan-rules", "grep", rc=2)
    assert "gitleaks" in done.err


def test_rules_are_valid_toml_and_yaml(site):
    import tomllib  # Python 3.11, as Debian 12 has it
    site.cli("init")
    rules = tomllib.loads(site.cli("scan-rules", "gitleaks").out)["rules"]
    assert rules[0]["keywords"] == ["jt_"]
    re.compile(rules[0]["regex"])
