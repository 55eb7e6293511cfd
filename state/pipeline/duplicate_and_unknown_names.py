"""Names in messages about mistakes: those used twice, and the keys of processors. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.processor import Processor
from backfilld.state.spelling_suggestions import nearest_name


def repeated_names(key: str, names: Iterable[str]) -> Iterator[str]:
    """One line for each name that several tables of a key have, sorted."""
    for name in sorted(name for name, times in Counter(names).items() if times > 1):
        yield f"{key}[{name}]: the name is used twice; rename one"


def processor_key(phase: Phase, processor: Processor) -> str:
    """The key of a processor's table, as in `phase[raw].processor[box]`."""
    return f"phase[{phase.name}].processor[{processor.name}]"


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message that suggests the nearest of the known names; empty where none is near."""
    match = nearest_name(name, known)
    return f"; did you mean '{match}'?" if match else ""
