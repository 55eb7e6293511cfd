"""What it takes to declare an attempt lost."""

from __future__ import annotations

from backfilld.api.schemas.field_types import Reason
from backfilld.state.pipeline.strict_model import StrictModel


class MarkLost(StrictModel):
    """Why an attempt is declared lost."""

    reason: Reason
