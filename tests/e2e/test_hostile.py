"""Strangers at the socket: garbage, limits, greed, silence, floods."""
import array
import fcntl
import os
import random
import resource
import socket
import threading
import time

import pytest

import rig
from rig import Closed, Error, encode, fd_count, verdict


@pytest.fixture(scope="module")
def token(shared):
    return shared.create("a token")


@pytest.fixture(autouse=True)
def nobody_died(request):
    """Whatever a test did: the same processes are there and serve."""
    if "shared" not in request.fixturenames:
        yield
        return
    site = request.getfixturevalue("shared")
    token = request.getfixturevalue("token")
    before = site.processes()
    yield
    assert site.processes() == before
    assert site.word(token) == "VALID"


def fds(pids):
    return {pid: fd_count(pid) for pid in pids}


def fds_at_rest(site):
    """Asking for the processes is a connection too: let it end."""
    pids = site.processes()
    time.sleep(0.15)
    return fds(pids)


def assert_fds(before):
    """Or fewer: who asked before may have been there still."""
    rig.until(lambda: all(n <= before[pid] for pid, n in fds(before).items()), 3,
              f"descriptors as before: {before}, now {fds(before)}")


# ---- the limits of the protocol ----

LIMITS = {
    "bulk of 4097": encode("VERIFY", "x" * 4097),
    "bulk of 4097, only its length": b"*2\r\n$6\r\nVERIFY\r\n$4097\r\n",
    "bulk of minus one": b"*1\r\n$-1\r\n",
    "bulk of 10 digits": b"*1\r\n$1000000000\r\n",
    "bulk beyond 64 bits": b"*1\r\n$99999999999999999999\r\n",
    "bulk without a number": b"*1\r\n$\r\n",
    "bulk with plus": b"*1\r\n$+1\r\n",
    "bulk in hex": b"*1\r\n$0x1\r\n",
    "no dollar": b"*1\r\n:1\r\n",
    "bulk longer than said": b"*1\r\n$4\r\nPINGPING\r\n",
    "65 arguments": encode("PING", *["x"] * 64),
    "65 arguments, only the count and a name": b"*65\r\n$4\r\nPING\r\n",
    "1025 arguments of MVERIFY": b"*1025\r\n",
    "2^31 arguments": b"*2147483648\r\n",
    "arguments beyond 64 bits": b"*99999999999999999999999\r\n",
    "no number of arguments": b"*\r\n",
    "letters for a number": b"*abc\r\n",
    "count line of 40 bytes": b"*" + b"0" * 40 + b"1\r\n",
    "count line without end": b"*1" + b" " * 40,
    "bulk count line without end": b"*1\r\n$" + b"1" * 40,
    "128 KiB": b"*1001\r\n$7\r\nMVERIFY\r\n$3\r\n999\r\n" +
               (b"$4000\r\n" + b"x" * 4000 + b"\r\n") * 40,
    "inline of 4096 without end": b"x" * 4097,
    "inline with an open quote": b'VERIFY "abc\r\n',
    "inline of 65 words": b"PING" + b" x" * 64 + b"\r\n",
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_breach_is_told_and_closed(shared, token, name):
    with shared.client() as c:
        try:
            c.raw(LIMITS[name])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it closed while we were still sending
        reply = c.drain()
    assert reply.startswith(b"-ERR Protocol error: "), reply
    assert reply.endswith(b"\r\n") and reply.count(b"\r\n") == 1


@pytest.mark.parametrize("name", LIMITS)
def test_what_came_before_a_breach_is_answered_first(shared, token, name):
    with shared.client() as c:
        try:
            c.raw(encode("VERIFY", token) * 20 + LIMITS[name])
        except (BrokenPipeError, ConnectionResetError):
            pass
        for _ in range(20):
            assert verdict(c.read()).word == "VALID"
        assert c.read().startswith("ERR Protocol error: ")
        assert c.is_closed()


def test_at_the_limit_all_is_well(shared, token):
    with shared.client() as c:
        assert c.verify("x" * 4096).word == "MALFORMED"
        assert c("ECHO", "x" * 4096) == b"x" * 4096
        assert "wrong number" in c("PING", *["x"] * 63)
        assert len(c("MVERIFY", 1000, *["x"] * 1000)) == 1000
        line = b"VERIFY " + b"y" * (4096 - 7 - 2) + b"\r\n"
        assert len(line) == 4096
        c.raw(line)
        assert verdict(c.read()).word == "MALFORMED"
        big = ["z" * 4000] * 31 + ["z" * 3500]
        assert 127000 < len(encode("MVERIFY", 32, *big)) <= 131072
        assert len(c("MVERIFY", 32, *big)) == 32


def test_nothing_is_reserved_on_a_mere_promise(shared, token):
    """A thousand clients that announce the most there may be."""
    [worker] = shared.daemons[-1].worker_pids()

    def resident_kb():
        with open(f"/proc/{worker}/status") as f:
            return int(next(x for x in f if x.startswith("RssAnon:"))
                       .split()[1])

    before, clients = resident_kb(), []
    for _ in range(500):
        c = shared.client()
        c.raw(b"*1024\r\n$7\r\nMVERIFY\r\n$4\r\n1000\r\n$4096\r\nxx")
        clients.append(c)
    assert shared.word(token) == "VALID"
    grown = resident_kb() - before
    for c in clients:
        c.close()
    assert grown < 500 * 16, f"{grown} kB for 500 promises"


@pytest.mark.parametrize("nothing", [b"\r\n", b"*0\r\n", b"*-1\r\n", b"\n",
                                     b"   \r\n"])
def test_empty_commands_are_passed_over(shared, token, nothing):
    with shared.client() as c:
        c.raw(nothing * 50 + encode("PING"))
        assert c.read() == "PONG"


def test_empty_arguments(shared, token):
    with shared.client() as c:
        assert isinstance(c(""), Error)
        assert isinstance(c("", ""), Error)
        assert isinstance(c("VERIFY"), Error)
        assert c("ECHO", "") == b""
        assert c.verify("").word == "MISSING"


# ---- pieces ----

def script(token):
    """Commands of each kind, and the replies they shall have."""
    commands = [
        encode("VERIFY", token), b"PING\r\n", encode("verify", ""),
        encode("MVERIFY", 2, token, "x"), encode("NOSUCH", "a" * 300),
        b'ECHO "a\\x41\\r\\n b"\r\n', encode("HELLO", 3), encode("HELLO", 2),
        encode("VERIFY", token, "COST", "x"), encode("CLIENT", "GETNAME"),
        b"*0\r\n", encode("VERIFY", token, "ENV", "no"), encode("PING", "end")]
    return b"".join(commands)


def replies(c):
    got = []
    while not got or got[-1] != b"end":
        got.append(c.read())
    for r in got:  # what differs between two connections or seconds
        if isinstance(r, list) and len(r) == 11:
            r[3] = r[3] > 0
        if isinstance(r, list) and len(r) == 14:
            r[7] = 0
        if isinstance(r, list) and len(r) == 2:
            r[0][3] = r[0][3] > 0
        if isinstance(r, dict):
            r[b"id"] = 0
    return got


def test_one_byte_at_a_time_gives_the_same_replies(shared, token):
    with shared.client() as c:
        c.raw(script(token))
        whole = replies(c)
    assert [type(r) for r in whole] == [list, rig.Simple, list, list, Error,
                                        bytes, dict, list, Error, type(None),
                                        list, bytes]
    with shared.client() as c:
        for byte in script(token):
            c.raw(bytes([byte]))
        assert replies(c) == whole


def test_an_inline_star_in_pieces_hurts_nobody(served):
    [worker] = served.daemons[-1].worker_pids()
    for line in (b'"*1" x\r\n', b"'*' x\n", b'"\\x2a3" x\r\n'):
        with served.client() as c:
            for byte in line:
                c.raw(bytes([byte]))
                time.sleep(0.002)
            assert isinstance(c.read(), Error)
            assert c("PING") == "PONG"
    assert served.daemons[-1].worker_pids() == [worker]


def test_cut_anywhere_gives_the_same_replies(shared, token):
    data = script(token)
    with shared.client() as c:
        c.raw(data)
        whole = replies(c)
    with shared.client() as c:
        for at in range(1, len(data), 3):
            c.raw(data[:at])
            time.sleep(0.0002)
            c.raw(data[at:])
            assert replies(c) == whole, at


def test_a_command_cut_anywhere_and_closed_harms_nobody(shared, token):
    before = fds_at_rest(shared)
    data = script(token)
    for at in range(len(data)):
        with shared.client() as c:
            c.raw(data[:at])
    assert_fds(before)


def test_all_replies_arrive_after_a_half_close(shared, token):
    n = 5000
    with shared.client() as c:
        def send():
            c.raw(encode("VERIFY", token) * n)
            c.sock.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(n):
            assert verdict(c.read()).word == "VALID"
        assert c.is_closed()
        sender.join()


def test_quit_answers_what_came_before_and_nothing_after(shared, token):
    with shared.client() as c:
        c.raw(encode("VERIFY", token) * 3 + encode("QUIT") + encode("PING"))
        for _ in range(3):
            assert verdict(c.read()).word == "VALID"
        assert c.read() == "OK"
        assert c.is_closed()


def test_http_at_the_wrong_door_is_told_so(shared, token):
    with shared.client() as c:
        c.raw(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        reply = c.drain()
    assert reply.startswith(b"-ERR") and b"HTTP" in reply
    assert reply.count(b"\r\n") == 1


# ---- garbage ----

def test_random_garbage_never_harms(shared, token):
    seed = int(os.environ.get("SEED", time.time_ns() & 0xffffffff))
    print("SEED", seed)
    rng = random.Random(seed)
    before = fds_at_rest(shared)
    alphabet = b"*$+-:\r\n0123456789VERIFYMPING\"' \0\xff"
    for _ in range(1500):
        n = rng.choice((1, 2, 5, 20, 100, 1000, 9000))
        data = (rng.randbytes(n) if rng.random() < 0.5 else
                bytes(rng.choices(alphabet, k=n)))
        with shared.client() as c:
            try:
                c.raw(data)
                c.sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass
            reply = c.drain()  # it always ends; and what it says is RESP
            assert reply == b"" or reply[:1] in b"*+-:$%_=~"
    assert_fds(before)


def test_garbled_commands_never_harm(shared, token):
    rng = random.Random(7)
    for _ in range(1500):
        data = bytearray(script(token))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.choice(b"*$\r\n09\0\xffA")
        with shared.client() as c:
            try:
                c.raw(data)
                c.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            c.drain()


# ---- greed and silence ----

def flood_without_reading(c, chunk, bytes_max=1 << 28):
    """Send until the server takes no more for a while; bytes sent."""
    sent = 0
    c.sock.settimeout(1.0)
    try:
        while sent < bytes_max:
            sent += c.sock.send(chunk)
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    return sent


def test_who_does_not_read_is_not_read_from_and_others_are_served(
        shared, token):
    [worker] = shared.daemons[-1].worker_pids()
    batch = encode("MVERIFY", 1000, *[token] * 1000)
    with shared.client() as greedy, shared.client() as other:
        sent = flood_without_reading(greedy, batch)
        assert sent < 4 << 20, "it read without end"
        spent = rig.cpu_s(worker)
        start = time.monotonic()
        for _ in range(1000):
            assert other.verify(token).word == "VALID"
        took = time.monotonic() - start
        assert took < 2 * rig.PATIENCE, f"{took:.2f} s for 1,000"
        time.sleep(0.5)
        assert rig.cpu_s(worker) - spent < took + 0.25  # and no spinning
        # who reads again after all gets every whole reply
        greedy.sock.settimeout(20)
        assert len(greedy.read()) == 1000


def test_a_pipelining_client_does_not_starve_another(shared, token):
    """One connection with 20,000 commands under way, another with one."""
    slow, stop = [], threading.Event()

    def hog():
        with shared.client() as c:
            batch = encode("VERIFY", token) * 2000
            while not stop.is_set():
                c.raw(batch)
                for _ in range(2000):
                    c.read()
    thread = threading.Thread(target=hog)
    thread.start()
    try:
        with shared.client() as c:
            for _ in range(200):
                start = time.monotonic()
                assert c.verify(token).word == "VALID"
                slow.append(time.monotonic() - start)
    finally:
        stop.set()
        thread.join()
    assert sorted(slow)[100] < 0.1 * rig.PATIENCE


class Patient:
    """Clients that wait for their deadlines while other tests run."""

    def __init__(self, site):
        self.site = site
        site.start("--workers", "1", "--connections", "2000")
        self.token = site.create()
        self.fds = fds_at_rest(site)
        self.start = time.monotonic()
        self.silent = site.client()
        self.half = site.client()
        self.half.raw(encode("VERIFY", self.token)[:-5])
        self.drip = site.client()
        self.idle = site.client()
        assert self.idle("PING") == "PONG"
        self.greedy = site.client()
        flood_without_reading(self.greedy, encode(
            "MVERIFY", 1000, *[self.token] * 1000))
        self.ended = {}
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        """A drip of a byte a second must not keep a command open."""
        sent = b""
        data = encode("VERIFY", self.token)
        for i in range(40):
            time.sleep(1)
            try:
                self.drip.raw(data[i:i + 1])
                sent += data[i:i + 1]
            except OSError:
                self.ended["drip"] = time.monotonic() - self.start
                return


@pytest.fixture(scope="session", autouse=True)
def patient():
    with rig.a_site() as site:
        yield Patient(site)


def closed_by_now(c):
    c.sock.setblocking(False)
    try:
        while c.sock.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.mark.last
def test_deadlines_close_who_is_silent_slow_or_greedy(patient):
    """30 s for a first byte, 5 s for the rest of a command, 10 s for taking
    replies; idle between commands is no offence."""
    passed = time.monotonic() - patient.start
    time.sleep(max(0, 32 - passed))
    for name in ("silent", "half", "greedy", "drip"):
        assert closed_by_now(getattr(patient, name)), name
    assert patient.idle("PING") == "PONG"
    assert patient.ended["drip"] < 12
    patient.idle.close()
    assert_fds(patient.fds)
    with patient.site.client() as c:
        assert c.stats()["slow_closed"] == 4


# ---- descriptors, connections ----

def test_ten_thousand_connects_and_closes_leak_nothing(served2):
    token = served2.create()
    before = fds_at_rest(served2)
    for i in range(10000):
        c = served2.client()
        if i % 4 == 0:
            assert c.verify(token).word == "VALID"
        elif i % 4 == 1:
            c.raw(encode("VERIFY", token))  # closed before its answer
        elif i % 4 == 2:
            c.raw(b"*1\r\n$4\r\nPI")
        c.close()
    assert served2.word(token) == "VALID"
    assert_fds(before)
    rig.until(lambda: sum(w["connections"] for w in
                          served2.status()["workers"]) == 0, 3, "none open")


def test_ten_thousand_answers_never_reach_the_wrong_peer(served2):
    """Slots and numbers of descriptors are used again at once."""
    for i in range(2500):
        with served2.client() as c, served2.client() as d:
            c.send("ECHO", f"c{i}")
            d.send("ECHO", f"d{i}")
            if i % 3 == 0:
                continue  # both closed with the answers under way
            assert d.read() == b"d%d" % i
            assert c.read() == b"c%d" % i


def test_connections_beyond_the_cap_are_busy_and_later_ones_work(site):
    site.start("--workers", "1", "--connections", "8")
    token = site.create()
    rig.until(lambda: site.status()["workers"][0]["connections"] == 0, 3, "0")
    held = [site.client() for _ in range(8)]
    for c in held:
        assert c.verify(token).word == "VALID"
    for _ in range(20):
        with site.client() as c:
            reply = c.drain()
        assert reply.startswith(b"-BUSY ") and reply.endswith(b"\r\n")
    for c in held:
        assert c.verify(token).word == "VALID"
    held.pop().close()
    rig.until(lambda: site.status()["workers"][0]["connections"] == 7, 3, "7")
    assert site.word(token) == "VALID"
    for c in held:
        c.close()
    rig.until(lambda: site.status()["workers"][0]["connections"] == 0, 3, "0")
    assert site.word(token) == "VALID"
    with site.client() as c:
        assert int(c.info()["rejected_connections"]) == 20


def test_descriptors_that_a_client_sends_along_are_not_kept(shared, token):
    before = fds_at_rest(shared)
    with shared.client() as c:
        for _ in range(200):
            read_end, write_end = os.pipe()
            rights = array.array("i", [write_end] * 8)
            try:
                c.sock.sendmsg([encode("PING")], [
                    (socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            except PermissionError:  # refused by the receiver: Linux 6.16
                c.send("PING")
            os.close(write_end)
            assert c.read() == "PONG"
            fcntl.fcntl(read_end, fcntl.F_SETFL, os.O_NONBLOCK)
            # end of file: nobody else holds the other end
            assert rig.until(lambda: os.read(read_end, 1) == b"", 2, "eof")
            os.close(read_end)
        assert sum(fds(before).values()) == sum(before.values()) + 1
    assert_fds(before)


def test_empty_messages_are_no_end(shared, token):
    with shared.client() as c:
        for _ in range(100):
            c.sock.send(b"")
        assert c.verify(token).word == "VALID"


def idle_shares(pids, seconds=1.0):
    """Of a core, each process meanwhile."""
    before, start = [rig.cpu_s(p) for p in pids], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    return [(rig.cpu_s(p) - b) / took for p, b in zip(pids, before)]


@pytest.mark.parametrize("limit", ["connections", "descriptors"])
@pytest.mark.parametrize("backend", ["auto", "epoll"])
def test_no_process_spins_beside_a_flood_or_after_it(
        site, backend, limit, record_property):
    """More clients at both doors than are let in, all of them silent: keeper,
    workers and the rest of them sleep, and when all have left, too."""
    site.start("--workers", "2", "--backend", backend, "--connections",
               8 if limit == "connections" else 512)
    token, pids, flood = site.create(), site.everybody(), []
    if limit == "descriptors":  # at once, so that nobody is prepared
        was = [resource.prlimit(p, resource.RLIMIT_NOFILE) for p in pids]
        for p, (_, hard) in zip(pids[1:], was[1:]):
            resource.prlimit(p, resource.RLIMIT_NOFILE, (3, hard))
    for path in [site.sock, site.http] * 150:
        flood.append(socket.socket(socket.AF_UNIX))
        flood[-1].settimeout(0.2)
        flood[-1].connect(str(path))
    time.sleep(0.5)  # who is turned away is so now
    beside = idle_shares(pids)
    for s in flood:
        s.close()
    if limit == "descriptors":
        for p, w in zip(pids, was):
            resource.prlimit(p, resource.RLIMIT_NOFILE, w)
    rig.until(lambda: sum(w["connections"] for w in
                          site.status()["workers"]) == 0, 10, "all have left")
    assert site.word(token) == "VALID"
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(str(site.http))
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(99).startswith(b"HTTP/1.1 200 ")
    after = idle_shares(pids)
    record_property("figure", f"{backend}, few {limit}: at most "
                    f"{max(beside):.1%} of a core beside it, "
                    f"{max(after):.1%} after it, {len(pids)} processes")
    assert max(beside) < 0.05 and max(after) < 0.05, (pids, beside, after)
    assert site.everybody() == pids


@pytest.mark.parametrize("backend", ["auto", "epoll"])
def test_few_descriptors_and_a_flood_do_not_make_it_spin(
        site, backend, record_property):
    daemon = site.start("--workers", "1", "--backend", backend, preexec_fn=lambda: (
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))))
    token = site.create()
    [worker] = daemon.worker_pids()
    served = site.client()
    flood, busy = [], 0
    for _ in range(300):
        c = site.client(timeout=0.2)
        flood.append(c)
    rig.until(lambda: served.verify(token).word == "VALID", 5, "answer")
    time.sleep(0.5)
    before, start = rig.cpu_s(worker), time.monotonic()
    time.sleep(1.5)
    share = (rig.cpu_s(worker) - before) / (time.monotonic() - start)
    record_property("figure", f"{backend}: {share:.1%} of a core while idle")
    assert share < 0.05, f"{share:.1%} of a core while idle"
    for c in flood:
        c.sock.settimeout(2)
        try:
            c.send("PING")
            reply = c.read()
        except (Closed, OSError):
            reply = None
        assert reply is None or reply == "PONG" or reply.startswith("BUSY")
        busy += reply != "PONG"
        assert served.verify(token).word == "VALID"
    assert 0 < busy < 300
    for c in flood:
        c.close()

    def admitted():
        """Not BUSY any more: the closing is seen in its turn, too."""
        with site.client() as c:
            try:
                reply = c("VERIFY", token)
            except (Closed, OSError):
                return False
            return not isinstance(reply, Error) and \
                verdict(reply).word == "VALID"
    rig.until(admitted, 5, "recovery")
    assert daemon.worker_pids() == [worker]
