"""Everything about one date as lines for people: first what is wrong, with the command that helps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import groupby

from rich.text import Text

from backfilld.api.cli.client import Json
from backfilld.api.cli.output import coloured, sanitize_line, sign
from backfilld.api.cli.progress_snapshot import attempt_failure
from backfilld.api.formatting import format_attempt_result
from backfilld.daemon.reports.remedies import helpful_command
from backfilld.state.formatting import format_counts, format_duration
from backfilld.state.rules.verdict import Verdict

_NONE = "–"


def lines(date: Json, now: dt.datetime) -> Iterator[Text]:
    """The date, its processors by phase, its attempts and its transitions."""
    yield from _head(date)
    longest = max((len(check["processor"]) for check in date["processors"]), default=0)
    for phase, group in groupby(date["processors"], lambda check: check["phase"]):
        checks = list(group)
        heading = phase or "no longer in the pipeline"
        yield Text.assemble("\n", (heading, "bold"), (_checked(checks, now), "dim"))
        for check in checks:
            yield from _check(check, date["date"], longest, now)
    if date["attempts"]:
        yield Text("\nattempts", style="bold")
    for attempt in date["attempts"]:
        yield from _attempt(attempt, longest)
    if date["transitions"]:
        yield Text("\nhistory", style="bold")
    yield from map(_transition, date["transitions"])


def _head(date: Json) -> Iterator[Text]:
    state = coloured(date["state"] or "never enqueued; later dates depend on it")
    outcome = f" {date['outcome']}" if date["outcome"] else ""
    reason = f": {sanitize_line(date['reason'])}" if date["reason"] else ""
    yield Text.assemble((date["date"], "bold"), "  ", state, outcome, reason)
    about = [
        f"season {date['season']}, day {date['season_day']}" if date["season"] else "",
        format_counts(date["counts"]),
        f"backfill {date['backfill_id']}" if date["backfill_id"] is not None else "",
    ]
    yield Text(", ".join(word for word in about if word), style="dim")
    if date["waiting_on"]:
        prefix = "" if date["waiting_on"].startswith("blocked by") else "waiting: "
        yield Text.assemble((prefix, "yellow"), sanitize_line(date["waiting_on"]))
    for mark, option in (("regressed", ""), ("stale", " --cascade")):
        if date[mark]:
            yield Text.assemble((f"{mark}: ", "yellow"), sanitize_line(date[mark]))
            if date["outcome"]:
                yield Text(f"  → backfilld retry {date['date']}{option}", style="dim")
    if date["state"] == "failed":
        unsatisfied = {c["processor"]: c["verdict"] for c in date["processors"] if not c["satisfied"]}
        yield Text(f"  → {helpful_command(date['date'], date['reason'] or '', unsatisfied)}", style="dim")


def _check(check: Json, date: str, longest: int, now: dt.datetime) -> Iterator[Text]:
    name = f" {check['processor']:<{longest}}  {check['verdict']:<12}  "
    yield Text.assemble("  ", sign(check["symbol"]), name, _rows(check))
    if check["reason"]:
        yield Text(f"      {sanitize_line(check['reason'])}")
    if check["check_log"]:
        yield Text(f"      log of its check: backfilld logs {date} {check['processor']} --check", style="dim")
    if final_at := check["provisional_until"]:
        yield Text(f"      provisional until {_clock(final_at, now)}", style="dim")
    if waiver := check["waiver"]:
        yield Text(f"      waived by {waiver['by']}: {sanitize_line(waiver['reason'])}", style="yellow")


def _attempt(attempt: Json, longest: int) -> Iterator[Text]:
    took = format_duration(attempt["duration_seconds"]) if attempt["ended_at"] else "so far"
    verdict, reason = attempt["verdict"], sanitize_line(attempt["verdict_reason"])
    result = format_attempt_result(attempt["status"], attempt["exit_code"], verdict, reason)
    symbol = sign(Verdict(verdict).symbol) if verdict else (" ", "")
    name = f" #{attempt['id']:<5} {attempt['processor']:<{longest}}  "
    yield Text.assemble(" ", symbol, name, (result, symbol[1]), f"  {took}{_covered(attempt['dates'])}")
    failure = attempt_failure(attempt)
    if attempt["status"] != "running" and (attempt["exit_code"] != 0 or attempt["detail"]):
        why = sanitize_line(failure.reason or failure.result)
        yield Text.assemble(f"      {why}  ", (f"→ {failure.command}", "dim"))


def _covered(dates: list[str]) -> str:
    """The dates of an attempt that takes several, such as those of a month; empty for one date."""
    return f"  {dates[0]} to {dates[-1]}, {len(dates)} dates" if len(dates) > 1 else ""


def _transition(row: Json) -> Text:
    at = f"{dt.datetime.fromisoformat(row['at']).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    reason = f": {sanitize_line(row['reason'])}" if row["reason"] else ""
    states = f"{row['from']} → {row['to']}"
    return Text.assemble((f"  {at}  ", "dim"), f"{states}  {row['trigger']} by {row['actor']}{reason}")


def _rows(check: Json) -> str:
    """How many rows there are, and how many are expected."""
    rows = _NONE if check["rows"] is None else str(check["rows"])
    return f"{rows} of {check['expected']}" if check["expected"] else rows


def _checked(checks: list[Json], now: dt.datetime) -> str:
    """When the warehouse was last queried for the checks: one time, or the first and the last."""
    times = sorted(check["asked_at"] for check in checks if check["asked_at"])
    ends = list(dict.fromkeys(_clock(moment, now) for moment in (times[:1] + times[-1:])))
    return f"  checked {' to '.join(ends)}" if ends else "  not checked yet"


def _clock(moment: str, now: dt.datetime) -> str:
    """The time, with the date unless that is today."""
    at = dt.datetime.fromisoformat(moment).astimezone()
    return f"{at:%H:%M:%S %Z}" if at.date() == now.astimezone().date() else f"{at:%Y-%m-%d %H:%M %Z}"
