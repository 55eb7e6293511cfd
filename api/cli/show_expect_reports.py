"""The reports of `expect` as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from backfilld.daemon.reports.blindness_to_simulated_damage import BlindnessReport, ProcessorBlindness
from backfilld.daemon.reports.expectation_suggestions import Suggestion, SuggestionReport
from backfilld.state.formatting import pluralize
from backfilld.state.rules.simulated_data_damage import DAMAGES


def blindness(report: BlindnessReport) -> Iterator[Text]:
    """What each processor's rules would not see, worst damage first."""
    yield Text(f"{report.start}..{report.end}: {report.summary}", style="bold")
    for one in report.processors:
        yield Text(f"  {one.processor}: {_seen(one)}")
        passing = [damage for damage in one.damages if damage.passed]
        for damage in sorted(passing, key=lambda damage: -damage.passed / damage.dates):
            share = f"{100 * damage.passed / damage.dates:.0f} %"
            yield Text(f"      {share:>5} pass  {DAMAGES[damage.damage]}")


def _seen(one: ProcessorBlindness) -> str:
    if one.blind_ratio is None:
        return "no complete date"
    loss = f"a loss of {one.smallest_loss_seen} %" if one.smallest_loss_seen else "no loss of rows"
    dates = pluralize(one.dates, "complete date")
    return f"{100 * one.blind_ratio:.0f} % of damages pass on {dates}; {loss} is seen reliably"


def suggestions(report: SuggestionReport) -> Iterator[Text]:
    """The proposed rules, to be pasted into the pipeline file."""
    for one in report.processors:
        yield Text(f"# {one.processor}: {_basis(one)}", style="dim")
        yield from map(Text, one.rules)


def _basis(one: Suggestion) -> str:
    if one.note or one.suggested_blind_ratio is None or one.blind_ratio is None or one.false_alarms is None:
        return one.note
    return (
        f"{100 * one.blind_ratio:.0f} % of damages pass today, {100 * one.suggested_blind_ratio:.0f} % with"
        f" these rules; {100 * one.false_alarms:.1f} % false alarms on {one.held_back_dates} held-back dates"
    )
