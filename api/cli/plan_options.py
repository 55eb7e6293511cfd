"""The options of a plan that say what a request would let run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from backfilld.api.cli import completions
from backfilld.api.cli.argument_types import terms_option
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import Sources
from backfilld.state.rules.processor_selection import UnknownSelection, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedRun:
    """The options as they were stated."""

    sources: str | None
    select: Sequence[str]
    exclude: Sequence[str]
    with_upstream: bool
    force: bool

    @property
    def stated(self) -> bool:
        """Whether any of them was stated."""
        return bool(self.sources or self.select or self.exclude or self.with_upstream or self.force)

    def options(self, pipeline: Pipeline) -> RequestOptions:
        """What they mean for a pipeline.

        Raises:
            click.BadParameter: a term matches nothing, or nothing is left.
        """
        try:
            selection = resolve(pipeline, self.select, self.exclude, with_upstream=self.with_upstream)
        except UnknownSelection as error:
            raise click.BadParameter(str(error), param_hint=f"--{error.field}") from None
        sources = Sources(self.sources or Sources.ALL)
        return RequestOptions(sources=sources, selection=selection, force=self.force)


def request_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--sources`, `--select`, `--exclude`, `--with-upstream` and `--force` on a verb, as one value."""

    @click.option(
        "--sources",
        "--scrapers",
        "sources",
        type=click.Choice([one.value for one in Sources]),
        help="Which sources the plan may run; implies --plan.",
    )
    @terms_option(
        "--select", "TERM", "Plan only these processors, as with enqueue; implies --plan.", completions.terms
    )
    @terms_option("--exclude", "TERM", "Plan all but these processors; implies --plan.", completions.terms)
    @click.option("--with-upstream", is_flag=True, help="Also plan what the selected ones are computed from.")
    @click.option("--force", is_flag=True, help="Plan each selected processor once, complete or not.")
    @functools.wraps(command)
    def call(
        *arguments: Any,
        sources: str | None,
        select: list[str],
        exclude: list[str],
        with_upstream: bool,
        force: bool,
        **others: Any,
    ) -> None:
        requested = RequestedRun(
            sources=sources, select=select, exclude=exclude, with_upstream=with_upstream, force=force
        )
        command(*arguments, requested=requested, **others)

    return call
