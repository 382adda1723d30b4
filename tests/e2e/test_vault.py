"""Values that may be read again: only with the passphrase, never unnoticed,
and not after they were revoked. The file's format is read here from its
document, not through the code."""
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest

import rig
from rig import Done, lines
from test_canary import ArgvWatch, assert_clean
from test_crashes import killed_at_every_write

PASS = "correct horse battery staple"
PAGE, ENTRY = 4096, 256


def vault_file(site):
    return site.data / "vault"


def passphrase_file(site, text=PASS + "\n", name="pass"):
    path = site.root / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def make_vault(site):
    site.cli("init", rc=None)
    site.cli("vault", "init", "--passphrase-file", passphrase_file(site))


def recoverable(site, name="a token", *options):
    return site.create(name, "--recoverable", *options)


def copy(site, token, *options, **kw):
    return site.cli("copy", token[:24], "--passphrase-file",
                    passphrase_file(site), *options, **kw)


def copies(site):
    return [r["id"] for r in site.dump() if r["type"] == "copy"]


def hashed(data, person, bytes_=16, **kw):
    return hashlib.blake2b(data, digest_size=bytes_, person=person,
                           **kw).digest()


def entries(site):
    """{(id, digest): offset} of every sound entry."""
    data = vault_file(site).read_bytes()
    assert data[:8] == b"jetonvlt"
    assert data[4080:4096] == hashed(data[:4080], b"jeton vault")
    found = {}
    for at in range(PAGE, len(data) - ENTRY + 1, ENTRY):
        e = data[at:at + ENTRY]
        if e[:8] == b"jetonval" and \
                e[240:] == hashed(e[:240], b"jeton value", salt=data[32:48]):
            found[e[16:40].decode(), e[40:72]] = at
    return found


def place(site, token):
    """Where the entry of this value is; None: nowhere."""
    digest = hashed(token.encode(), b"jeton-token-v1", 32)
    return entries(site).get((token[:24], digest))


def poke(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


@pytest.fixture
def vault(site):
    """A site with a vault and a daemon."""
    make_vault(site)
    site.start("--workers", "1")
    yield site


@pytest.fixture(scope="module")
def kept():
    """The same for tests that leave it as it was."""
    with rig.a_site() as s:
        make_vault(s)
        s.start("--workers", "1")
        s.token = recoverable(s, "kept")
        yield s


# ---- the terminal ----

class Terminal:
    """jeton as somebody sees it who sits before it."""

    def __init__(self, site, *args):
        self.main, self.sub = pty.openpty()
        self.seen = b""
        self.process = subprocess.Popen(
            [rig.JETON, *args], stdin=self.sub, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=site.env, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def read(self, wait_s=0.05):
        while select.select([self.main], [], [], wait_s)[0]:
            self.seen += os.read(self.main, 4096)
        return self.seen

    def echoes(self):
        return bool(termios.tcgetattr(self.sub)[3] & termios.ECHO)

    def answer(self, prompt, text):
        had = self.seen.count(prompt)
        rig.until(lambda: self.read().count(prompt) > had or
                  self.process.poll() is not None and had == 0,
                  30 * rig.PATIENCE, f"the prompt {prompt!r}")
        self.seen += b"|"
        assert not self.echoes()
        os.write(self.main, text)

    def end(self):
        out, err = self.process.communicate(timeout=60 * rig.PATIENCE)
        self.read()
        assert self.echoes(), "the terminal was left without echo"
        os.close(self.main)
        os.close(self.sub)
        assert PASS.encode() not in self.seen
        return Done(self.process.returncode, out.decode(), err.decode())


def test_passphrase_is_typed_unseen_and_twice_when_new(site):
    site.cli("init")
    t = Terminal(site, "vault", "init")
    t.answer(b"New passphrase: ", b"short\n")
    done = t.end()
    assert done.rc == 2 and "at least 12" in done.err
    t = Terminal(site, "vault", "init")
    t.answer(b"New passphrase: ", PASS.encode() + b"\n")
    t.answer(b"The same again: ", PASS.encode() + b"s\n")
    done = t.end()
    assert done.rc == 2 and "different" in done.err
    assert not vault_file(site).exists()
    t = Terminal(site, "vault", "init")
    t.answer(b"New passphrase: ", PASS.encode() + b"\n")
    t.answer(b"The same again: ", PASS.encode() + b"\n")
    assert t.end().rc == 0
    assert vault_file(site).stat().st_mode & 0o777 == 0o600
    token = recoverable(site)
    t = Terminal(site, "copy", token[:24])
    t.answer(b"Passphrase: ", PASS.encode() + b"\n")
    done = t.end()
    assert done.rc == 0 and done.out == token + "\n"
    assert token[24:].encode() not in t.seen


@pytest.mark.parametrize("key,status", [
    (b"\x03", -signal.SIGINT), (b"\x1c", -signal.SIGQUIT), (b"\x04", 2),
    (b"\n", 2), (b"x" * 1500 + b"\n", 2)])
def test_a_prompt_that_is_not_answered_gives_the_terminal_back(kept, key,
                                                               status):
    before = kept.journal.read_bytes()
    t = Terminal(kept, "copy", kept.token[:24])
    t.answer(b"Passphrase: ", key)
    done = t.end()
    assert done.rc == status and done.out == ""
    assert kept.journal.read_bytes() == before


def test_a_stranger_signal_at_the_prompt_gives_the_terminal_back(kept):
    t = Terminal(kept, "copy", kept.token[:24])
    rig.until(lambda: b"Passphrase: " in t.read(), 20, "prompt")
    assert not t.echoes()
    t.process.send_signal(signal.SIGTERM)
    assert t.end().rc == -signal.SIGTERM


@pytest.mark.parametrize("verb", ["copy", "vault"])
def test_without_a_terminal_nobody_waits(site, verb):
    make_vault(site)
    token = recoverable(site)
    if verb == "vault":
        vault_file(site).unlink()
    args = ["copy", token[:24]] if verb == "copy" else ["vault", "init"]
    start = time.monotonic()
    done = site.cli(*args, rc=2, start_new_session=True)
    assert time.monotonic() - start < 2 * rig.PATIENCE
    assert "--passphrase-file" in done.err and len(lines(done.err)) == 1


# ---- the main job ----

def test_a_value_is_given_out_again_and_that_is_recorded(vault):
    token = recoverable(vault, "Production API")
    assert copies(vault) == []
    done = copy(vault, token)
    assert done.out == token + "\n"
    assert token[24:] not in done.err and len(lines(done.err)) == 1
    assert copies(vault) == [token[:24]]
    receipt = re.search(r"\b\d+:[0-9a-f]{32}\b", done.err)[0]
    assert vault.check() == receipt
    answer = json.loads(copy(vault, token, "--json").out)
    assert answer["token"] == token and answer["id"] == token[:24]
    assert answer["receipt"] == vault.check()
    rig.until(lambda: vault.status()["applied"] == 3, 5, "copies applied")
    assert vault.status()["health"] == "ok"
    assert vault.word(token) == "VALID"


def test_a_copy_survives_a_restart_and_needs_no_sidecar(vault):
    token = recoverable(vault)
    copy(vault, token)
    assert vault.daemons[0].stop() == 0
    assert copy(vault, token).out == token + "\n"
    vault.start("--workers", "1")
    assert vault.word(token) == "VALID"
    vault.revoke(token)
    assert vault.word(token) == "REVOKED"


def test_list_and_show_tell_which_can_be_copied(vault):
    plain, stored, gone = (vault.create("plain"), recoverable(vault, "stored"),
                           recoverable(vault, "gone"))
    vault.revoke(gone)
    assert [x["recoverable"] for x in vault.list()] == [False, True, False]
    for token, yes in ((plain, False), (stored, True), (gone, False)):
        shown = vault.cli("show", token[:24], "--json").out
        assert json.loads(shown)["recoverable"] is yes
        assert f"recoverable\t{'yes' if yes else 'no'}" in \
            vault.cli("show", token[:24]).out
    for row in vault.cli("list").out.splitlines():
        assert len(row.split("\t")) == 4


def test_a_table_of_tokens_is_stored_as_one(vault):
    tokens = vault.bulk(300, "--recoverable", "--rate", "5/s")
    assert all(x["recoverable"] for x in vault.list())
    assert all(place(vault, t) for t in (tokens[0], tokens[150], tokens[-1]))
    assert len(entries(vault)) == 300
    for t in (tokens[0], tokens[299]):
        assert copy(vault, t).out == t + "\n"


def test_without_vault_nothing_is_created(served):
    done = served.cli("create", "x", "--recoverable", rc=4)
    assert "jeton vault init" in done.err and len(lines(done.err)) == 1
    assert served.list() == [] and done.out == ""
    (served.root / "t.csv").write_text("name\na\nb\n")
    served.cli("create", "--from", served.root / "t.csv", "--out",
               served.root / "o", "--recoverable", rc=4)
    assert served.list() == [] and not (served.root / "o").exists()


def test_off_by_default(vault):
    size = vault_file(vault).stat().st_size
    token = vault.create()
    assert vault_file(vault).stat().st_size == size == PAGE
    done = copy(vault, token, rc=1)
    assert "--recoverable" in done.err and len(lines(done.err)) == 1


# ---- refusals ----

def refused(site, token, rc, word, **kw):
    before = site.journal.read_bytes()
    done = copy(site, token, rc=rc, **kw)
    assert word in done.err and len(lines(done.err)) == 1, done.err
    assert done.out == "" and site.journal.read_bytes() == before


def test_a_revoked_token_is_not_copied(vault):
    token = recoverable(vault)
    vault.revoke(token)
    refused(vault, token, 1, "revoked")


def test_an_unknown_token_is_not_copied(kept):
    refused(kept, "jt_live_AAAAAAAAAAAAAAAA", 1, "no token")


def test_another_passphrase_is_refused_in_words(kept):
    before = kept.journal.read_bytes()
    for text in (PASS + " ", PASS[:-1], PASS.upper()):
        done = kept.cli("copy", kept.token[:24], "--passphrase-file",
                        passphrase_file(kept, text, "other"), rc=1)
        assert "not the passphrase" in done.err and done.out == ""
        assert text not in done.err
    assert kept.journal.read_bytes() == before


@pytest.mark.parametrize("text", [PASS, PASS + "\n", PASS + "\r\n"])
def test_a_passphrase_file_has_one_line_ended_as_one_likes(kept, text):
    done = kept.cli("copy", kept.token[:24], "--passphrase-file",
                    passphrase_file(kept, text, "other"))
    assert done.out == kept.token + "\n"


@pytest.mark.parametrize("text", [
    "", "\n", PASS + "\nmore\n", PASS + "\n\n", "x\0" + PASS, "x" * 1025,
    "x" * 100000])
def test_a_passphrase_file_with_anything_else_is_refused(kept, text):
    done = kept.cli("copy", kept.token[:24], "--passphrase-file",
                    passphrase_file(kept, text, "other"), rc=2)
    assert len(lines(done.err)) == 1 and done.out == ""


def test_a_passphrase_file_that_is_none(kept):
    for path in (kept.root / "absent", kept.root):
        done = kept.cli("copy", kept.token[:24], "--passphrase-file", path,
                        rc=4)
        assert str(path) in done.err and len(lines(done.err)) == 1
    open_to_all = passphrase_file(kept, name="open")
    open_to_all.chmod(0o644)
    done = kept.cli("copy", kept.token[:24], "--passphrase-file", open_to_all)
    assert "chmod 600" in done.err


@pytest.mark.parametrize("text,ok", [
    ("elevenchars", False), ("twelve chars", True), ("äöüäöüäöüäö", False),
    ("äöüäöüäöüäöü", True)])
def test_a_new_passphrase_has_twelve_characters(site, text, ok):
    site.cli("init")
    done = site.cli("vault", "init", "--passphrase-file",
                    passphrase_file(site, text), rc=0 if ok else 2)
    assert vault_file(site).exists() == ok
    assert text not in done.err + done.out


def test_a_second_vault_is_refused_and_changes_nothing(kept):
    before = vault_file(kept).read_bytes()
    done = kept.cli("vault", "init", "--passphrase-file",
                    passphrase_file(kept, "another passphrase", "other"), rc=4)
    assert "already" in done.err and str(vault_file(kept)) in done.err
    assert vault_file(kept).read_bytes() == before


def test_a_vault_needs_a_journal(site):
    done = site.cli("vault", "init", "--passphrase-file",
                    passphrase_file(site), rc=4)
    assert len(lines(done.err)) == 1 and not vault_file(site).exists()


def test_the_vault_of_another_journal_is_refused(vault):
    token = recoverable(vault)
    with rig.a_site() as other:
        make_vault(other)
        theirs = vault_file(other).read_bytes()
    vault_file(vault).write_bytes(theirs)
    refused(vault, token, 4, "another journal")
    vault.cli("create", "x", "--recoverable", rc=4)
    assert len(vault.list()) == 1
    assert vault_file(vault).read_bytes() == theirs


def test_damage_is_told_with_its_place(vault):
    first, second = recoverable(vault), recoverable(vault)
    whole = vault_file(vault).read_bytes()
    at = place(vault, second)
    poke(vault_file(vault), at + 100, bytes([whole[at + 100] ^ 1]))
    refused(vault, second, 4, f"byte {at}:")
    assert copy(vault, first).out == first + "\n"
    vault_file(vault).write_bytes(whole[:at])
    refused(vault, second, 4, "no entry")
    vault_file(vault).write_bytes(whole[:at + 100])
    refused(vault, second, 4, f"byte {at + 100}:")
    vault_file(vault).write_bytes(whole)
    poke(vault_file(vault), 40, bytes([whole[40] ^ 1]))
    refused(vault, first, 4, "byte 0:")
    vault.cli("create", "x", "--recoverable", rc=4)
    vault.create("x")  # who does not want a vault does not need one
    assert len(vault.list()) == 3


@pytest.mark.parametrize("at,number", [(88, 1 << 40), (88, 2 << 30), (80, 9),
                                       (80, 1 << 40)])
def test_a_hostile_file_costs_nothing(vault, at, number):
    token = recoverable(vault)
    poke(vault_file(vault), at, number.to_bytes(8, "little"))
    page = vault_file(vault).read_bytes()[:4080]
    poke(vault_file(vault), 4080, hashed(page, b"jeton vault"))
    start = time.monotonic()
    refused(vault, token, 4, "byte 0:")
    assert time.monotonic() - start < 2 * rig.PATIENCE


def test_stdout_that_takes_nothing_is_told(kept):
    with open("/dev/full", "wb") as full:
        done = copy(kept, kept.token, rc=4, stdout=full)
    assert "recorded as copied" in done.err
    before = kept.journal.read_bytes()
    done = copy(kept, kept.token, rc=4,
                wrapper=["sh", "-c", 'exec "$@" >&-', "sh"])
    assert "stdout is closed" in done.err
    assert kept.journal.read_bytes() == before


# ---- the end of a value ----

def sealed_pieces(site, token):
    at = place(site, token)
    sealed = vault_file(site).read_bytes()[at + 72:at + 184]
    assert any(sealed)
    return [sealed[i:i + 16] for i in range(0, 112, 16)]


def test_revoke_wipes_the_sealed_value(vault):
    kept, gone = recoverable(vault), recoverable(vault)
    pieces = sealed_pieces(vault, gone)
    size = vault_file(vault).stat().st_size
    vault.revoke(gone)
    data = vault_file(vault).read_bytes()
    assert not any(p in data for p in pieces)
    assert gone[:24].encode() not in data
    assert copy(vault, kept).out == kept + "\n"
    token = recoverable(vault)  # in the place of the other
    assert vault_file(vault).stat().st_size == size
    assert copy(vault, token).out == token + "\n"


def test_a_wipe_that_fails_is_a_warning_and_is_made_up_for(vault):
    token = recoverable(vault)
    pieces = sealed_pieces(vault, token)
    vault_file(vault).chmod(0o620)
    done = vault.revoke(token)
    assert str(vault_file(vault)) in done.err and "wipe" in done.err
    assert vault.word(token) == "REVOKED"
    assert pieces[0] in vault_file(vault).read_bytes()
    refused(vault, token, 1, "revoked")
    vault_file(vault).chmod(0o600)
    done = vault.revoke(token)
    assert "still holds" not in done.err
    assert pieces[0] not in vault_file(vault).read_bytes()


def test_a_value_that_was_not_delivered_is_not_kept(vault):
    with open("/dev/full", "wb") as full:
        vault.cli("create", "x", "--recoverable", rc=4, stdout=full)
    assert vault.list()[0]["status"] == "Revoked"
    assert entries(vault) == {}
    assert not any(vault_file(vault).read_bytes()[PAGE:])


# ---- nobody else sees it ----

def test_neither_value_nor_passphrase_is_anywhere(site):
    watch = ArgvWatch()
    watch.start()
    site.cli("init")
    pass_file = passphrase_file(site)
    site.cli("vault", "init", "--passphrase-file", pass_file)
    daemon = site.start("--workers", "2")
    tokens = [recoverable(site, f"canary {i}") for i in range(3)]

    def look():
        files = [p for d in (site.data, site.run) for p in d.rglob("*")
                 if p.is_file()] + list(site.root.glob("log*"))
        assert {"journal", "vault", "log1"} <= {p.name for p in files}
        for path in files:
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                assert path.name == "usage.new"  # it has its name now
                continue
            assert_clean(data, tokens, path.name)
            assert PASS.encode() not in data

    look()
    assert copy(site, tokens[0]).out == tokens[0] + "\n"
    t = Terminal(site, "copy", tokens[1][:24])
    t.answer(b"Passphrase: ", PASS.encode() + b"\n")
    assert t.end().out == tokens[1] + "\n"
    copy(site, tokens[2], "--json")
    look()
    site.revoke(tokens[0])
    site.cli("show", tokens[1][:24])
    site.dump()
    assert daemon.stop() == 0
    look()
    watch.done = True
    watch.join()
    for args, (_, out, err) in site.said:
        assert PASS not in out + err
        assert_clean(err, tokens, f"stderr of {args[0]}")
        if args[0] not in ("create", "copy"):
            assert_clean(out, tokens, f"stdout of {args[0]}")
    assert any(b"copy" in line for line in watch.seen)  # it did look
    for line in watch.seen:
        assert PASS.encode() not in line
        assert_clean(line, tokens, "a command line")


@pytest.mark.parametrize("words", [
    ["copy", "{t}"], ["copy", "{t}", "--passphrase-file", "x"],
    ["copy", "{i}", "--passphrase-file", "{t}"], ["vault", "init", "{t}"],
    ["vault", "{t}"], ["create", "x", "--recoverable={t}"],
    ["create", "{t}", "--recoverable"]], ids=" ".join)
def test_a_value_given_as_argument_is_never_repeated(kept, words):
    before = kept.journal.read_bytes()
    done = kept.cli(*[w.format(t=kept.token, i=kept.token[:24])
                      for w in words], rc=2)
    assert_clean(done.out + done.err, [kept.token], "the answer")
    assert kept.journal.read_bytes() == before


def test_who_copies_cannot_be_dumped(kept):
    t = Terminal(kept, "copy", kept.token[:24])
    rig.until(lambda: b"Passphrase: " in t.read(), 20, "prompt")
    pid = t.process.pid
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    limits = open(f"/proc/{pid}/limits").read()
    assert re.search(r"Max core file size\s+0\s+0\s", limits)
    os.write(t.main, b"\x03")
    t.end()


def test_the_sidecar_never_opens_the_vault(site):
    make_vault(site)
    before = recoverable(site)
    trace = site.root / "trace"
    site.start("--workers", "2", wrapper=rig.strace("file,desc", trace))
    token = recoverable(site)
    copy(site, token)
    assert site.word(before) == site.word(token) == "VALID"
    site.revoke(token)
    site.create("x")
    keeper = site.status()["pid"]
    for pid in (keeper, *site.daemons[0].worker_pids()):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                name = os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue  # closed meanwhile
            assert "vault" not in name
    site.signal_keeper(signal.SIGTERM)
    site.daemons[0].process.wait(20 * rig.PATIENCE)
    text = trace.read_text(errors="replace")
    assert re.search(r'open\w*\(.*journal"', text)  # it did look
    assert not re.search(r'open\w*\(.*vault"', text)


# ---- writers and crashes ----

def test_a_value_is_durable_before_the_commit_that_needs_it(site):
    make_vault(site)
    trace = site.root / "trace"
    site.cli("create", "x", "--recoverable",
             wrapper=["strace", "-y", "-o", trace, "-e",
                      "trace=pwrite64,fdatasync"])
    calls = re.findall(r"(pwrite64|fdatasync)\(\d+<[^>]*/(\w[\w.]*)>",
                       trace.read_text())
    assert calls.index(("pwrite64", "vault")) < \
        calls.index(("fdatasync", "vault")) < \
        calls.index(("pwrite64", "journal"))


def test_many_writers_at_once_lose_nothing(vault):
    crowd = [subprocess.Popen([rig.JETON, "create", f"t{i}", "--recoverable"],
                              env=vault.env, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) for i in range(12)]
    tokens = [p.communicate()[0].decode().strip() for p in crowd]
    assert all(p.returncode == 0 for p in crowd)
    assert len(set(place(vault, t) for t in tokens) - {None}) == 12
    assert vault_file(vault).stat().st_size == PAGE + 12 * ENTRY


def assert_kept(site):
    """What the journal calls recoverable the vault has, and little else."""
    have = entries(site)
    for r in site.list():
        if r["recoverable"]:
            assert any(key[0] == r["id"] for key in have), r
    return have


def test_create_killed_at_every_write(vault):
    acknowledged = []

    def run(wrapper, label):
        done = vault.cli("create", f"crash {label}", "--recoverable", rc=None,
                         wrapper=wrapper)
        value = re.fullmatch(r"(jt_live_\w{56})\n", done.out)
        if value:
            acknowledged.append(value[1])
        assert_kept(vault)
        acknowledged.append(recoverable(vault, "after"))
        assert all(place(vault, t) for t in acknowledged)
        vault.check()
        return done

    assert {"pwrite64", "fdatasync"} <= killed_at_every_write(run)
    # orphans were written over: one at most is there
    assert len(assert_kept(vault)) <= len(vault.list()) + 1
    for t in acknowledged[::len(acknowledged) // 3]:
        assert copy(vault, t).out == t + "\n"


def test_copy_killed_at_every_write_leaves_no_value_unrecorded(vault):
    token = recoverable(vault)

    def run(wrapper, label):
        had = len(copies(vault))
        done = copy(vault, token, rc=None, wrapper=wrapper)
        if token in done.out:
            assert len(copies(vault)) == had + 1
        vault.check()
        return done

    assert {"pwrite64", "fdatasync", "write"} <= killed_at_every_write(run)
    assert copy(vault, token).out == token + "\n"


def test_revoke_killed_at_every_write(vault):
    tokens = iter(vault.bulk(60, "--recoverable"))
    dead = []

    def run(wrapper, label):
        token = next(tokens)
        done = vault.revoke(token, wrapper=wrapper, rc=None)
        vault.revoke(token)
        dead.append(token)
        assert not any(place(vault, t) for t in dead)
        assert_kept(vault)
        return done

    killed_at_every_write(run)
    assert len(entries(vault)) == 60 - len(dead)


def test_vault_init_killed_at_every_write(site):
    site.cli("init")

    def run(wrapper, label):
        done = site.cli("vault", "init", "--passphrase-file",
                        passphrase_file(site), rc=None, wrapper=wrapper)
        if vault_file(site).exists():
            token = recoverable(site)
            assert place(site, token)
            site.revoke(token, "--offline")
            vault_file(site).unlink()
        else:
            assert done.rc != 0
        return done

    assert {"pwrite64", "fsync"} <= killed_at_every_write(run)
