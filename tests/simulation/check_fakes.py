"""Check commands in a simulated world: each takes some seconds, and exits as its script says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from backfilld.daemon.executors.check_command_runner_interface import CheckCommand, CheckEnd
from backfilld.state.rules.needs_graph import Pair

SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check command does. `code` None: it times out."""

    code: int | None
    seconds: float = SECONDS
    detail: str = ""


class SimChecks:
    """Runs check commands by a clock that a test moves."""

    def __init__(
        self, clock: Callable[[], float], script: Callable[[Pair], CheckResult] = lambda pair: CheckResult(0)
    ) -> None:
        """`script` is called when a command starts: it says how that one will end."""
        self._clock = clock
        self.script = script
        self.started: list[Pair] = []
        """Every command that was ever started, in order."""
        self._running: dict[Pair, tuple[float, CheckEnd]] = {}

    @property
    def running(self) -> Collection[Pair]:
        """The pairs whose command runs, or has ended since the last `poll`."""
        return set(self._running)

    def start(self, command: CheckCommand) -> None:
        """Start a command whose pair is not running."""
        assert command.pair not in self._running
        result = self.script(command.pair)
        end = CheckEnd(
            pair=command.pair, subject=command.subject, exit_code=result.code, detail=result.detail
        )
        self.started.append(command.pair)
        self._running[command.pair] = self._clock() + result.seconds, end

    def poll(self) -> list[CheckEnd]:
        """The commands that ended since the last call."""
        ended = [end for at, end in self._running.values() if at <= self._clock()]
        for end in ended:
            del self._running[end.pair]
        return ended

    def next_end(self) -> float | None:
        """When the next command ends; None while none runs."""
        return min((at for at, _ in self._running.values()), default=None)

    def set_clock(self, seconds: float) -> None:
        """The clock was set: commands go on as they would."""
        self._running = {pair: (at + seconds, end) for pair, (at, end) in self._running.items()}

    def forget(self) -> None:
        """The daemon is gone, and what ran is gone with it."""
        self._running.clear()
