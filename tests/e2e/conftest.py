"""Fixtures. Missing binaries or clients are failures here, never skips."""
import signal
import sys

import pytest

import rig
from history import History

sys.dont_write_bytecode = True


def pytest_configure(config):
    # what a shell ignores for its background jobs, children would inherit
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) == signal.SIG_IGN and \
                number not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
    config.addinivalue_line(
        "markers", "last: looks at what the first test has set going")
    config.addinivalue_line(
        "markers", "unwatched(why): history.py cannot look on")
    config.addinivalue_line(
        "markers", "traces: has a tracer or a library of its own")


# Where files run side by side, those that take long begin.
LONG = ["test_vault.py", "test_usage.py", "test_lifecycle.py",
        "test_hostile.py", "test_compact.py", "test_processes.py"]


def pytest_collection_modifyitems(items):
    def place(item):
        name = item.path.name
        return (item.get_closest_marker("last") is not None,
                LONG.index(name) if name in LONG else len(LONG))
    items.sort(key=place)


def pytest_terminal_summary(terminalreporter):
    """What tests have to say, also from other processes."""
    for report in terminalreporter.getreports("passed"):
        for name, line in report.user_properties:
            if name == "said" and report.when == "call":
                terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def untraced(request, monkeypatch):
    """Over epoll, too, but by the setting."""
    if request.node.get_closest_marker("traces"):
        monkeypatch.setattr(rig, "WRAP", [])


@pytest.fixture(scope="session", autouse=True)
def binaries():
    for program in (rig.JETON, rig.JETOND):
        assert rig.Path(program).exists(), f"{program}: run `make`"


# Where the history checker looks on: files, and of one what rotates.
WATCHED = ["test_crashes.py", "test_growth.py", "test_compact.py",
           "test_snapshot.py", "test_processes.py", "test_torture.py",
           "test_upgrade.py", "test_deny.py"]


def is_watched(test):
    if test.get_closest_marker("unwatched"):
        return False
    return test.path.name in WATCHED or (
        test.path.name == "test_lifecycle.py" and
        any(x in test.name for x in ("rotat", "overlap", "both_values")))


@pytest.fixture
def site(request, record_property):
    """An empty site, nothing started."""
    with rig.a_site() as s:
        if is_watched(request.node):
            s.history = History(s)
        yield s
        if s.history:
            record_property("history", s.history.check())


@pytest.fixture
def served(site):
    """A site with a daemon of one worker."""
    site.start("--workers", "1")
    yield site


@pytest.fixture
def served2(site):
    """A site with a daemon of two workers."""
    site.start("--workers", "2")
    yield site


@pytest.fixture(scope="module")
def shared():
    """A served site for tests that leave nothing behind that others see."""
    with rig.a_site() as s:
        s.start("--workers", "1")
        yield s
