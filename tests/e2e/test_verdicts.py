"""Every verdict word that can occur by now, and what stands beside it."""
import time

import pytest

import rig
from rig import Error, mistyped, other_secret, verdict


@pytest.fixture(scope="module")
def token(shared):
    return shared.create("a token", "--owner", "team", "--env", "prod")


@pytest.mark.parametrize("proto", [None, 2, 3])
def test_eleven_elements_in_order_and_of_fixed_type(shared, token, proto):
    with shared.client(proto=proto) as c:
        v = c.verify(token)  # rig.verdict() checks number, order and type
        applied = c.stats()["applied_number"]
    assert v.word == "VALID" and v.status == 200 and v.id == token[:24]
    assert 90 * 86400 - 60 < v.expires_in_s <= 90 * 86400
    assert v[4:8] == (-1, -1, 0, 0)
    assert (v.owner, v.applied, v.notes) == ("team", applied, "")


def test_resp2_and_resp3_give_the_same_bytes(shared, token):
    def bytes_of(value, proto):
        with shared.client(proto=proto) as c:
            c.send("VERIFY", value, "COST", 0)
            c.sock.shutdown(1)
            return c.drain()

    for value in (token[:-1], mistyped(token, 33), token + "\n"):
        assert bytes_of(value, 2) == bytes_of(value, 3)
    # expires_in_s may tick in between
    assert bytes_of(token, 2)[:50] == bytes_of(token, 3)[:50]


def refused(v, word):
    assert v.word == word
    assert v.status == rig.STATUS.get(word, 401)


def assert_nothing_told(v):
    assert v.id == "" and v.owner == "" and v.notes == ""
    assert v[3:8] == (0, -1, -1, 0, 0)


def test_missing(shared):
    v = shared.verify("")
    refused(v, "MISSING")
    assert_nothing_told(v)


@pytest.mark.parametrize("change", [
    "{t}\n", "{t}\r\n", " {t}", "{t} ", "\t{t}", "  {t}\t\r\n", "{t}\v\f"])
def test_whitespace_around_a_right_value(shared, token, change):
    v = shared.verify(change.format(t=token))
    refused(v, "WHITESPACE")
    assert_nothing_told(v)


def test_whitespace_is_said_for_unknown_values_too(shared, token):
    # decided without the table: right checksum once trimmed
    refused(shared.verify(other_secret(token) + "\n"), "WHITESPACE")


@pytest.mark.parametrize("value", [
    " ", "\n", "x", "Bearer {t}", "{c} ", " {c}\n", "{t}{t}", "{t}x", "x{t}",
    '"{t}"', "jt_live_", "\0" * 64, "é" * 32, "x" * 4096, "x" * 64,
    "jt-prod-" + "a" * 56, "JT_prod_" + "a" * 56])
def test_malformed(shared, token, value):
    value = value.replace("{t}", token).replace("{c}", mistyped(token, 50))
    v = shared.verify(value)
    refused(v, "MALFORMED")
    assert_nothing_told(v)


def test_every_cut_off_is_malformed(shared, token):
    with shared.client() as c:
        for n in range(1, 64):
            assert c.verify(token[:n]).word == "MALFORMED", n
            assert c.verify(token[n:]).word == "MALFORMED", n


def test_a_blank_inside_is_malformed(shared, token):
    with shared.client() as c:
        for at in range(1, 64):
            assert c.verify(token[:at] + " " + token[at + 1:]).word == \
                "MALFORMED"


def test_one_wrong_character_anywhere_is_mistyped(shared, token):
    with shared.client() as c:
        for at in [*range(8, 64)]:
            if token[at] == "_":
                continue
            v = c.verify(mistyped(token, at))
            assert v.word == "MISTYPED", at
            assert_nothing_told(v)


def test_two_swapped_characters_are_mistyped(shared, token):
    at = next(i for i in range(24, 57) if token[i] != token[i + 1])
    swapped = token[:at] + token[at + 1] + token[at] + token[at + 2:]
    refused(shared.verify(swapped), "MISTYPED")


def test_unknown_from_another_installation(shared):
    with rig.a_site() as elsewhere:
        v = shared.verify(elsewhere.create("x"))
    refused(v, "UNKNOWN")
    assert_nothing_told(v)


def test_unknown_for_a_known_id_with_another_secret(shared, token):
    v = shared.verify(other_secret(token))
    refused(v, "UNKNOWN")
    assert_nothing_told(v)
    assert shared.word(token) == "VALID"


def test_wrong_environment(shared, token):
    assert shared.word(token, "ENV", "prod") == "VALID"
    assert shared.word(token, "env", "prod") == "VALID"
    for other in ("live", "PROD", "pro", "prod1", "toolongname", "", "p r"):
        v = shared.verify(token, "ENV", other)
        refused(v, "WRONG_ENVIRONMENT")
        assert v.id == token[:24]


def test_revoked_tells_the_id_and_owner(shared):
    t = shared.create("x", "--owner", "me")
    shared.revoke(t)
    v = shared.verify(t)
    refused(v, "REVOKED")
    assert v.id == t[:24] and v.owner == "me"
    refused(shared.verify(other_secret(t)), "UNKNOWN")


def test_expired_at_its_second_and_not_before(shared):
    t = shared.create("x", "--expires", "2s")
    v = shared.verify(t)
    end = time.time() + v.expires_in_s
    assert v.word == "VALID" and v.expires_in_s in (1, 2)
    assert v.notes == "EXPIRING"
    with shared.client() as c:
        while (v := c.verify(t)).word == "VALID":
            assert time.time() < end + 1.1
            time.sleep(0.01)
        refused(v, "EXPIRED")
        assert v.expires_in_s == 0 and v.id == t[:24] and v.notes == ""
        assert time.time() >= end - 1.1
    shared.revoke(t)
    refused(shared.verify(t), "REVOKED")


@pytest.mark.parametrize("expires,note", [
    ("6d", "EXPIRING"), ("7d", "EXPIRING"), ("8d", ""), ("3h", "EXPIRING")])
def test_expiring_is_noted_within_seven_days(shared, expires, note):
    v = shared.verify(shared.create("x", "--expires", expires))
    assert (v.word, v.notes) == ("VALID", note)


def test_insufficient_scope_names_the_missing_one(shared, token):
    v = shared.verify(token, "SCOPE", "read:orders")
    refused(v, "INSUFFICIENT_SCOPE")
    assert v.notes == "SCOPE:read:orders" and v.id == token[:24]
    v = shared.verify(token, "SCOPE", "a", "SCOPE", "b")
    assert v.notes == "SCOPE:a"


def test_rate_limited_after_the_burst(shared):
    t = shared.create("x", "--rate", "6/min", "--burst", "3")
    with shared.client() as c:
        for left in (2, 1, 0):
            v = c.verify(t)
            assert (v.word, v.limit, v.remaining) == ("VALID", 3, left)
            assert v.retry_after_ms == 0
            assert (3 - left - 1) * 10000 < v.reset_ms <= (3 - left) * 10000
        v = c.verify(t)
    refused(v, "RATE_LIMITED")
    assert (v.limit, v.remaining, v.notes) == (3, 0, "")
    assert 0 < v.retry_after_ms <= 10000 < v.reset_ms <= 30000
    assert v.id == t[:24]


def test_burst_is_that_of_the_rate_by_default(shared):
    t = shared.create("x", "--rate", "4/h")
    with shared.client() as c:
        assert [c.verify(t).word for _ in range(5)] == \
            ["VALID"] * 4 + ["RATE_LIMITED"]


def test_retry_after_is_enough_and_no_more(shared):
    t = shared.create("x", "--rate", "2/s", "--burst", "1")
    with shared.client() as c:
        assert c.verify(t).word == "VALID"
        v = c.verify(t)
        assert v.word == "RATE_LIMITED" and 0 < v.retry_after_ms <= 500
        time.sleep(max(0, v.retry_after_ms / 1000 - 0.1))
        assert c.verify(t).word == "RATE_LIMITED"
        time.sleep(0.11)
        assert c.verify(t).word == "VALID"


def test_a_refusal_spends_nothing(shared):
    t = shared.create("x", "--rate", "2/s", "--burst", "2")
    with shared.client() as c:
        assert c.verify(t, "COST", 2).word == "VALID"
        for _ in range(200):  # hammering must not put the end off
            assert c.verify(t, "COST", 2).word == "RATE_LIMITED"
        time.sleep(1.02)
        assert c.verify(t, "COST", 2).word == "VALID"


def test_cost_takes_so_many(shared):
    t = shared.create("x", "--rate", "10/h")
    with shared.client() as c:
        assert c.verify(t, "COST", 4).remaining == 6
        assert c.verify(t, "COST", 7).word == "RATE_LIMITED"
        assert c.verify(t, "COST", 6).remaining == 0


def test_cost_above_the_burst_never_passes_and_spends_nothing(shared):
    t = shared.create("x", "--rate", "10/h")
    with shared.client() as c:
        v = c.verify(t, "COST", 11)
        refused(v, "RATE_LIMITED")
        assert (v.retry_after_ms, v.notes) == (-1, "NEVER")
        assert c.verify(t, "COST", 4294967295).notes == "NEVER"
        assert c.verify(t, "COST", 10).word == "VALID"


def test_cost_0_looks_without_spending(shared):
    t = shared.create("x", "--rate", "3/h")
    with shared.client() as c:
        for _ in range(10):
            v = c.verify(t, "COST", 0)
            assert (v.word, v.limit, v.remaining) == ("VALID", 3, 3)
        assert c.verify(t).remaining == 2
        for _ in range(10):
            assert c.verify(t, "COST", 0).remaining == 2
        assert c.verify(t, "COST", 2).word == "VALID"
        assert c.verify(t, "COST", 0).remaining == 0
    assert '"uses":3' in shared.cli("show", t[:24], "--json").out


def test_a_token_without_limit_takes_any_cost(shared, token):
    assert shared.word(token, "COST", 4294967295) == "VALID"


@pytest.mark.parametrize("cost", ["-1", "x", "", "1.5", "01", "+1", " 1",
                                  "4294967296", "99999999999999999999"])
def test_a_bad_cost_is_an_error_and_no_verdict(shared, token, cost):
    with shared.client() as c:
        assert isinstance(c("VERIFY", token, "COST", cost), Error)
        assert c.verify(token).word == "VALID"  # the connection lives


@pytest.mark.parametrize("options", [
    ["ENV"], ["SCOPE"], ["COST"], ["FOO", "1"], ["ENV", "a", "ENV", "b"],
    ["COST", "1", "COST", "1"], ["SCOPE", ""], ["SCOPE", "a,b"],
    ["SCOPE", "a b"], ["SCOPE", "x" * 65], ["SCOPE", "a\n"], ["extra"]])
def test_bad_options_are_errors_that_spend_nothing(shared, options):
    t = shared.create("x", "--rate", "1/h")
    with shared.client() as c:
        assert isinstance(c("VERIFY", t, *options), Error)
        assert isinstance(c("MVERIFY", 1, t, *options), Error)
        assert c.verify(t).word == "VALID"


def test_order_in_which_words_are_decided(shared):
    t = shared.create("x", "--expires", "1s", "--env", "a", "--rate", "1/day")
    with shared.client() as c:
        assert c.verify(t).word == "VALID"
        assert c.verify(t).word == "RATE_LIMITED"
        assert c.verify(t, "SCOPE", "s").word == "INSUFFICIENT_SCOPE"
        rig.until(lambda: c.verify(t).word == "EXPIRED", 3, "expiry")
        assert c.verify(t, "SCOPE", "s").word == "EXPIRED"
        shared.revoke(t)
        assert c.verify(t, "SCOPE", "s").word == "REVOKED"
        assert c.verify(t, "ENV", "b").word == "WRONG_ENVIRONMENT"
        assert c.verify(other_secret(t), "ENV", "b").word == "UNKNOWN"
        assert c.verify(mistyped(t, 40), "ENV", "b").word == "MISTYPED"
        assert c.verify(t[:40], "ENV", "b").word == "MALFORMED"
        assert c.verify("", "ENV", "b").word == "MISSING"


@pytest.mark.parametrize("n", [1, 2, 33, 1000])
@pytest.mark.parametrize("proto", [2, 3])
def test_mverify_answers_each_in_order(shared, token, n, proto):
    kinds = [(token, "VALID"), ("", "MISSING"), (token[:9], "MALFORMED"),
             (mistyped(token, 60), "MISTYPED"), (token + " ", "WHITESPACE"),
             (other_secret(token), "UNKNOWN")]
    asked = [kinds[(i * i + i) % 6] for i in range(n)]
    with shared.client(proto=proto) as c:
        reply = c("MVERIFY", n, *[value for value, _ in asked])
    assert len(reply) == n
    assert [verdict(r).word for r in reply] == [word for _, word in asked]


def test_mverify_of_more_than_a_thousand_is_an_error(shared, token):
    with shared.client() as c:
        assert isinstance(c("MVERIFY", 1001, *[token] * 1001), Error)
        assert c.verify(token).word == "VALID"


def test_mverify_spends_for_each_token_in_order(shared):
    t = shared.create("x", "--rate", "5/h")
    with shared.client() as c:
        got = [verdict(r) for r in c("MVERIFY", 4, t, t, t, t, "COST", 2)]
    assert [v.word for v in got] == ["VALID"] * 2 + ["RATE_LIMITED"] * 2
    assert [v.remaining for v in got] == [3, 1, 1, 1]


def test_mverify_options_apply_to_all(shared, token):
    with shared.client() as c:
        got = c("MVERIFY", 2, token, token, "ENV", "live", "COST", 0)
        assert [verdict(r).word for r in got] == ["WRONG_ENVIRONMENT"] * 2


@pytest.mark.parametrize("count", ["0", "3", "-1", "x", "", "1e0", "2.0",
                                   "18446744073709551618", "1025"])
def test_mverify_with_a_wrong_count_spends_nothing(shared, count):
    t = shared.create("x", "--rate", "1/h")
    with shared.client() as c:
        assert isinstance(c("MVERIFY", count, t, t), Error)
        assert c.verify(t).word == "VALID"


def test_stats_count_every_word(served):
    t = served.create("x", "--rate", "2/h")
    with served.client() as c:
        before = c.stats()
        for _ in range(5):
            c.verify(t)
        c("MVERIFY", 3, "", t[:5], mistyped(t, 30))
        after = c.stats()
    grown = {k[8:]: after[k] - before[k] for k in after
             if k.startswith("verdict_") and after[k] != before[k]}
    assert grown == {"VALID": 2, "RATE_LIMITED": 3, "MISSING": 1,
                     "MALFORMED": 1, "MISTYPED": 1}
    assert after["tokens"] == 1 and after["applied_number"] == 2


# ---- LOADING ----

def test_loading_until_the_journal_is_replayed_and_never_a_wrong_word(site):
    n = 20000 if rig.ASAN else 150000
    token = site.bulk(n)[n // 2]
    site.start("--workers", "1", wait=False)
    rig.until(site.sock.exists, 10 * rig.PATIENCE, "socket", step_s=0.0005)
    said, infos = [], set()

    def connect():
        try:
            return site.client()
        except ConnectionRefusedError:
            return None  # bound, not yet listening
    with rig.until(connect, 5, "connect", step_s=0.0005) as c:
        while not said or isinstance(said[-1], Error):
            infos.add(c.info()["loading"])
            said.append(c("VERIFY", token))
            assert c("PING") == "PONG"
            assert c("HELLO", 3)[b"proto"] == 3
        assert c.info()["loading"] == "0"
    assert len(said) > 1, "never saw it load"
    assert "1" in infos
    for reply in said[:-1]:
        assert reply.startswith("LOADING ")
    assert verdict(said[-1]).word == "VALID"


def test_a_change_while_loading_is_in_force_when_it_returns(site):
    tokens = site.bulk(5000 if rig.ASAN else 100000)
    site.start("--workers", "1", wait=False)
    rig.until((site.run / "jeton-control.sock").exists, 20, "socket", 0.001)
    site.revoke(tokens[-1])
    assert site.word(tokens[-1]) == "REVOKED"
    assert site.word(tokens[0]) == "VALID"
