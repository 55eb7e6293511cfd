"""Makes a backfill with the generated Python client and prints the answers as JSON.

Runs in the generator's environment, beside the package `generated`, with BACKFILLD_URL and BACKFILLD_TOKEN.
"""

import datetime as dt
import json
import os
import sys

from generated import AuthenticatedClient
from generated.api.backfills import create_backfill, get_backfill, list_backfill_dates
from generated.api.dates import get_date
from generated.models import (
    Backfill,
    BackfillStatus,
    DateDetail,
    EnqueueResult,
    NewBackfill,
    Problem,
    RequestedDates,
    Verdict,
)

FIRST, LAST = dt.date(2021, 10, 19), dt.date(2021, 10, 20)


def main() -> None:
    """Make a backfill, read it and one of its dates back, and make a mistake."""
    client = AuthenticatedClient(base_url=os.environ["BACKFILLD_URL"], token=os.environ["BACKFILLD_TOKEN"])
    body = NewBackfill(start=FIRST, end=LAST, note="by a generated client")
    made = create_backfill.sync(client=client, body=body, idempotency_key="once")
    again = create_backfill.sync(client=client, body=body, idempotency_key="once")
    assert isinstance(made, EnqueueResult)
    assert isinstance(again, EnqueueResult)
    backfill = get_backfill.sync(made.id, client=client)
    rows = list_backfill_dates.sync(made.id, client=client)
    date = get_date.sync(FIRST, client=client)
    refused = create_backfill.sync(client=client, body=NewBackfill(start=LAST, end=FIRST))
    absent = get_date.sync(dt.date(1999, 1, 1), client=client)
    assert isinstance(backfill, Backfill)
    assert isinstance(rows, RequestedDates)
    assert isinstance(date, DateDetail)
    assert isinstance(refused, Problem)
    assert isinstance(absent, Problem)
    answers = {
        "ids": [made.id, again.id],
        "active": backfill.status is BackfillStatus.ACTIVE,
        "note": backfill.note,
        "outcomes": made.outcomes.to_dict(),
        "dates": [str(row.date) for row in rows.items],
        "verdicts": sorted({Verdict(check.verdict).value for check in date.processors}),
        "refused": [refused.status, [fault.field for fault in refused.errors or ()]],
        "absent": [absent.status, absent.type_],
    }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
