"""Tables of the command line on a terminal: nothing is cut, whatever the width."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.text import Text

from backfilld.api.cli import output

COLUMNS = ["id", "range", "note"]
RANGE = "2021-11-21..2021-11-27"
REASON = "blocked by 2021-11-05, which failed: upcoming_team_game_context_of_a_long_name"


def printed(monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    """The lines of a table with a long last column on a terminal of a width."""
    console = Console(width=width, force_terminal=True, no_color=True, highlight=False)
    monkeypatch.setattr(output, "console", console)
    with console.capture() as captured:
        output.table("backfills", COLUMNS, [["2", RANGE, REASON], ["1", RANGE, Text("all")]])
    return Text.from_ansi(captured.get()).plain.splitlines()


@pytest.mark.parametrize("width", [40, 56, 58, 80, 120])
def test_no_cell_is_cut_and_no_line_is_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    lines = printed(monkeypatch, width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert sum(RANGE in line for line in lines) == 2
    assert REASON.replace(" ", "") in "".join("".join(lines).split())


def test_the_last_column_goes_below_the_others_where_it_has_too_little_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert any(RANGE in line and "blocked by" in line for line in printed(monkeypatch, 80))
    narrow = printed(monkeypatch, 56)
    row = next(n for n, line in enumerate(narrow) if line.startswith("2 "))
    assert narrow[row].split() == ["2", RANGE]
    assert narrow[row + 1].startswith("  blocked by 2021-11-05")
