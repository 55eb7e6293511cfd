"""`[[preflight.check]]`: commands of the platform as checks of preflight."""

import time
from pathlib import Path
from typing import Any

import pytest

from backfilld.daemon.preflight.checklist import preflight
from backfilld.daemon.preflight.findings import Finding, Result
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import NOW, phase, pipeline, processor
from tests.integration.real_jobs import lives, until
from tests.timeouts import PATIENCE

FILE = """
name = "shop"
warehouse = { kind = "lake", path = "lake" }
jobs = { env = { GREETING = "hello" } }
[[phase]]
name = "raw"
[[phase.processor]]
name = "orders"
table = "shop.orders"
command = ["true", "{date}"]
"""


def results(folder: Path, *commands: str, quick: bool = False) -> list[Result]:
    """The results of the group `platform`, one for each command with its further keys."""
    (folder / "lake").mkdir()
    checks = (
        f'[[preflight.check]]\nname = "check {number}"\ncommand = {command}\n'
        for number, command in enumerate(commands)
    )
    path = folder / "pipeline.toml"
    path.write_text(FILE + "".join(checks))
    return [r for r in preflight(path, now=NOW, quick=quick).results if r.group == "platform"]


def findings(folder: Path, *commands: str) -> list[tuple[str, str]]:
    found: list[Finding] = [finding for result in results(folder, *commands) for finding in result.findings]
    return [(finding.status.value, finding.line) for finding in found]


def test_exit_codes_are_a_pass_a_failure_or_a_warning_with_the_last_line(tmp_path: Path) -> None:
    assert findings(
        tmp_path,
        """["sh", "-c", "echo first; echo all good; echo"]""",
        """["sh", "-c", "echo no token >&2; exit 3"]""",
        """["sh", "-c", "exit 4"]\nseverity = "warn" """,
        """["bin/nowhere.sh"]\nseverity = "warn" """,
        """["sh", "-c", "echo $GREETING $0 $1; pwd", "{start}", "{end}"]""",
    ) == [
        ("pass", "all good"),
        ("fail", "exit 3: no token"),
        ("warn", "exit 4: no output"),
        ("fail", "cannot start: [Errno 2] No such file or directory: 'bin/nowhere.sh'"),
        ("pass", str(tmp_path.resolve())),
    ]


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    command = f"""["sh", "-c", "sleep {2 * PATIENCE} & echo $! > child; wait"]\ntimeout = "1s" """
    assert findings(tmp_path, command) == [("fail", "it did not end within 1 s")]
    assert time.monotonic() - started < PATIENCE
    child = int((tmp_path / "child").read_text())
    until(lambda: not lives(child), "the end of the child")


def test_a_flood_of_output_keeps_its_last_line(tmp_path: Path) -> None:
    command = """["sh", "-c", "head -c 3000000 /dev/zero | tr '\\\\0' x; echo; echo the end"]"""
    assert findings(tmp_path, command) == [("pass", "the end")]


def test_quick_leaves_them_out(tmp_path: Path) -> None:
    (result,) = results(tmp_path, '["false"]', quick=True)
    assert (result.title, result.status.value) == ("check 0", "skip")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"command": []}, "preflight.check[own].command: is empty; fill it in"),
        (
            {"command": [" "]},
            "preflight.check[own].command: the first word is empty; write the program there",
        ),
        (
            {"command": ["true", "{date}"]},
            "preflight.check[own].command: unknown placeholder {date}; known are start, end, python",
        ),
        ({"timeout": "0s"}, "preflight.check[own].timeout: ends the command at once; write a longer time"),
        (
            {"severity": "error"},
            "preflight.check[own].severity: 'error' is not known; write 'fail' or 'warn'",
        ),
        ({"comand": ["true"]}, "preflight.check[own]: unknown key 'comand'; did you mean 'command'?"),
    ],
)
def test_a_mistake_is_refused_with_its_remedy(keys: dict[str, Any], problem: str) -> None:
    check = {"name": "own", "command": ["true"], **keys}
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box")), preflight={"check": [check]})
    assert raised.value.problems == [problem]


def test_a_name_that_is_used_twice_is_refused() -> None:
    check = {"name": "own", "command": ["true"]}
    with pytest.raises(PipelineError, match=r"preflight.check\[own\]: the name is used twice; rename one"):
        pipeline(phase("raw", processor("box")), preflight={"check": [check, check]})
