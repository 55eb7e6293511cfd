"""What a worker of pytest-xdist takes: all tests of a group or of a module, in the order of collection."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling


class ByModule(LoadGroupScheduling):
    """What a module prepares is prepared once, and not by each worker that got one of its tests."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        # Else modules with few tests come last, and those are the longest.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return super()._split_scope(nodeid).partition("::")[0]
