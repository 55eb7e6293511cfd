"""The verbs that change dates: retry and accept, of one date or of many."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from backfilld.api.cli import completions
from backfilld.api.cli.argument_types import (
    DATE,
    DATE_OR_BACKFILL,
    DATE_OR_PROCESSOR,
    begins_like_date,
    terms_option,
)
from backfilld.api.cli.client import Client, Json
from backfilld.api.cli.commands.control import change_backfill
from backfilld.api.cli.output import (
    example,
    json_option,
    print_answer,
    sanitize_line,
    url_option,
)
from backfilld.daemon.reports.remedies import blocking_dates_remedy, failed_inputs_remedy
from backfilld.state.formatting import format_date_ranges, pluralize
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.verdict import Verdict

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LISTS = ("state", "outcome", "verdict")
"""Filters that the API takes as comma-separated lists."""


def _filters(command: _Command) -> _Command:
    """The options that choose dates by what they are."""
    for option in (
        terms_option(
            "--dates",
            "DATES",
            "A list of dates and ranges: 2021-10-19,2021-10-26..2021-10-31.",
            completions.dates,
        ),
        terms_option("--state", "STATES", "Only dates in these states, such as failed.", completions.states),
        terms_option(
            "--outcome",
            "OUTCOMES",
            f"Only dates that ended so: {', '.join(Outcome)}.",
            completions.words(*Outcome),
        ),
        terms_option(
            "--verdict",
            "VERDICTS",
            f"Only dates with these verdicts: {', '.join(Verdict)}.",
            completions.words(*Verdict),
        ),
    ):
        command = option(command)
    return command


@click.command(
    epilog=example(
        "retry 2021-10-26",
        "retry 2021-10-26 --processor player_daily_cache",
        "retry 2021-10-19 2021-10-31 --outcome exhausted",
        "retry 7",
        "retry --stale",
    )
)
@click.argument("what", type=DATE_OR_BACKFILL, required=False)
@click.argument("end", type=DATE, required=False)
@terms_option(
    "--processor", "NAMES", "Run these alone, once, whatever their verdicts.", completions.processors
)
@_filters
@click.option("--force", is_flag=True, help="Run every processor of the dates once, complete or not.")
@click.option("--cascade", is_flag=True, help="Also recompute the dates that are stale because of these.")
@click.option("--regressed", "mark", flag_value="regressed", help="Done dates that are no longer complete.")
@click.option("--stale", "mark", flag_value="stale", help="Done dates that must be recomputed.")
@click.option("--dry-run", is_flag=True, help="Print the answer of every date, and change nothing.")
@json_option
@url_option
def retry(
    what: str | int | None,
    end: str | None,
    processor: list[str],
    force: bool,
    cascade: bool,
    dry_run: bool,
    as_json: bool,
    url: str | None,
    **filters: Any,
) -> None:
    """Put ended dates back to pending.

    WHAT is a date, the first date of a range up to END, or the number of a backfill for its failed dates. A
    range without a filter is for its failed and regressed dates. Filters also choose among all dates.

    With --processor these processors run alone, once, as a backfill of their own: gates stay closed where
    their upstream is missing, and what is computed from their outputs becomes stale.

    Each date has its own answer. Exit codes: 0 changed, 1 if every date was refused.
    """
    client, query = Client(url), _query(what, end, filters)
    if isinstance(what, int):
        if len(query) > 1 or processor or force or cascade or dry_run:
            raise click.UsageError(f"backfill {what} is retried as a whole; leave the other options out")
        change_backfill(client, what, "retry", as_json)
    elif not query:
        raise click.UsageError("give a date, a range or a backfill, or a filter such as --state failed")
    elif query == {"start": what} and len(processor) < 2 and not (dry_run or cascade):
        one = {"force": force, "processor": next(iter(processor), None)}
        answer = client.post(f"/v1/dates/{what}/retry", one)
        print_answer(answer, _retried_date(answer, processor), as_json)
    else:
        how = {"force": force, "cascade": cascade, "dry_run": dry_run}
        body = {**query, **how, **_of_processors(processor)}
        answer = client.post("/v1/dates/retry", body)
        again = f"{', '.join(processor)} runs again as backfill {answer['backfill']}: " if processor else ""
        runs = "dry run: " if dry_run else again
        _print(answer, f"{runs}{{}} put back to pending{_reach(answer)}", as_json)


@click.command(
    epilog=example(
        'accept 2021-10-26 nbac_team_boxscore --reason "the source lost it"',
        'accept 2021-10-19 2021-10-31 --verdict no_data --reason "no games"',
    )
)
@click.argument("what", type=DATE_OR_PROCESSOR, nargs=-1, metavar="[START [END]] [PROCESSOR]")
@terms_option("--processor", "NAMES", "The processors, where there are several.", completions.processors)
@_filters
@click.option("--reason", required=True, help="Why the dates may pass without it; kept with each date.")
@json_option
@url_option
def accept(
    what: tuple[str, ...], processor: list[str], reason: str, as_json: bool, url: str | None, **filters: Any
) -> None:
    """Waive missing outputs of dates.

    The dates then pass without a complete output of PROCESSOR; without one, of every processor whose output
    is missing after its job was tried. One date, or a list of dates, with processors is also waived in
    advance: before it is enqueued, or before its turn.

    Each date has its own answer. Exit codes: 0 changed, 1 if every date was refused.
    """
    days = [word for word in what if begins_like_date(word)]
    names = [word for word in what if word not in days]
    if len(days) > 2 or len(names) > 1 or what != (*days, *names):
        raise click.UsageError("give START, END and PROCESSOR in this order; separate several by commas")
    processors = [*(name for word in names for name in word.split(",") if name), *processor]
    start, end = [*days, None, None][:2]
    client, query = Client(url), _query(start, end, filters)
    if not query:
        raise click.UsageError("give a date, a range, or a filter such as --verdict no_data")
    if query == {"start": start} and len(processors) == 1:
        answer = client.post(f"/v1/dates/{start}/accept", {"processor": processors[0], "reason": reason})
        print_answer(answer, f"{start} passes without {processors[0]}", as_json)
    else:
        body = {**query, **_of_processors(processors), "reason": reason}
        answer = client.post("/v1/dates/accept", body)
        _print(answer, "{} accepted", as_json)


def _query(start: str | int | None, end: str | None, filters: Mapping[str, Any]) -> Json:
    """The dates of a request, as the API takes them, without what was not stated."""
    lists = {name: ",".join(filters[name]) for name in _LISTS}
    listed = [date for term in filters["dates"] for date in _dates_of(term)]
    values = {"dates": listed, "start": start, "end": end, **lists, "mark": filters.get("mark")}
    return {name: value for name, value in values.items() if value}


def _dates_of(term: str) -> list[str]:
    """The dates of a term of a list: one, or those of a range such as `2021-10-19..2021-10-31`."""
    first, separator, last = term.partition("..")
    if not separator:
        return [term]
    try:
        dates = [str(d) for d in dates_between(dt.date.fromisoformat(first), dt.date.fromisoformat(last))]
    except ValueError:
        dates = []
    if not dates:
        raise click.UsageError(f"--dates: {term} is no range; write it like 2021-10-19..2021-10-31")
    return dates


def _retried_date(date: Json, processor: list[str]) -> str:
    """What the retry of one date did, with the waivers that it withdraws."""
    withdrawal = sanitize_line(date["withdrawn"] or "")
    parts = [f"{date['date']} put back to pending", withdrawal]
    if processor:
        runs = f"{date['date']}: {processor[0]} runs again as backfill {date['backfill_id']}"
        parts = [runs, withdrawal, "what is computed from it becomes stale: backfilld retry --stale"]
    return "; ".join(filter(None, parts))


def _reach(answer: Json) -> str:
    """How many further dates a retry runs, and which it leaves out."""
    whose = "its" if answer["changed"] == 1 else "their"
    dates, run = pluralize(answer["further"], "further date"), "runs" if answer["further"] == 1 else "run"
    further = f"{whose} repair makes up to {dates} stale, which {run} then"
    failed = [dt.date.fromisoformat(date) for date in answer["failed_dates"]]
    blocking = [dt.date.fromisoformat(date) for date in answer["blocking_dates"]]
    parts = [*([further] if answer["further"] else []), *([failed_inputs_remedy(failed)] if failed else [])]
    parts += [blocking_dates_remedy(blocking)] if blocking else []
    return "".join(f"; {part}" for part in parts)


def _print(answer: Json, sentence: str, as_json: bool) -> None:
    """Print how many dates were changed, then ranges of dates with the same answer; exit 1 if none was."""
    groups: dict[tuple[bool, str], list[dt.date]] = {}
    for one in answer["answers"]:
        groups.setdefault((one["changed"], one["reason"]), []).append(dt.date.fromisoformat(one["date"]))
    lines = [sentence.format(pluralize(answer["changed"], "date"))]
    for (changed, reason), dates in groups.items():
        word = "changed" if changed else "refused"
        lines.append(f"  {format_date_ranges(dates)}  {word}  {sanitize_line(reason)}".rstrip())
    print_answer(answer, "\n".join(lines if groups else [*lines, "  no date matches"]), as_json)
    if answer["refused"] and not answer["changed"]:
        raise click.exceptions.Exit(1)


def _of_processors(names: list[str]) -> dict[str, list[str]]:
    """The part of a request that names processors; without it, the request is about all."""
    return {"processors": names} if names else {}
