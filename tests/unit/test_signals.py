"""The signals of the daemon: what they request, and the start anew."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from backfilld.daemon.signals import Signals, StartFailed

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def signals() -> Iterator[Signals]:
    """The signals of this process, which has its own handlers again afterwards."""
    earlier = {number: signal.getsignal(number) for number in HANDLED}
    signals = Signals("running jobs continue")
    signals.handle()
    yield signals
    for number, handler in earlier.items():
        signal.signal(number, handler)


def test_several_hangups_request_one_reload(signals: Signals) -> None:
    assert not signals.take_reload()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert signals.take_reload()
    assert not signals.take_reload()
    assert not signals.stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_during_a_reload_wins(signals: Signals, number: int) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), number)
    assert signals.stopping
    signals.start_anew({})  # returns, and the caller ends the process


def test_a_command_that_is_gone_is_an_error_with_a_remedy(
    signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(
        StartFailed, match="/nowhere/python cannot be executed: No such file or directory; run"
    ):
        signals.start_anew({})
    # Until its exec, no SIGHUP ends the process
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
