"""What asking costs: a whole backfill's questions, gates included, by BigQuery's rules of billing.

python -m bench.warehouse_cost [--dates 28 213] [--gate S]

Counted are queries and the tables they name; each table of each query is billed 10 MiB at least, which is
what a partition of these tables comes to. The operators' tool asks one query per table and date whenever it
looks: `one look` is that over the range once, `a look per job` what gates at every job would cost that way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from backfilld.daemon.warehouses.adapter import Answers, Wanted
from bench.makespan import OF, Setting, calendar, in_memory, paced
from bench.options_and_machine_load import parser

BILLED_MIB = 10
"""The least that a table of a query is billed, and what a partition of these tables comes to."""
USD_PER_TIB = 6.25


@dataclass(slots=True)
class Bill:
    """Queries sent and tables named in them."""

    queries: int = 0
    tables: int = 0

    def add(self, wanted: Wanted, stamps: Wanted | None) -> None:
        """Add a query over the tables, one over the run history, and one for write stamps if any are read.

        The bench's tables are in one dataset, so one query reads the stamps of all.
        """
        stamped = int(any((stamps or {}).values()))
        self.queries += 2 + stamped
        self.tables += len([name for name, dates in wanted.items() if dates]) + 1 + stamped

    def row(self, name: str, beside: Bill) -> str:
        """One line of the table."""
        mib = self.tables * BILLED_MIB
        usd = mib / 2**20 * USD_PER_TIB
        share = 100 * self.tables / beside.tables
        return (
            f"  {name:<42} {self.queries:>8} {self.tables:>8} {mib / 1024:>8.2f} {usd:>7.3f} {share:>8.1f} %"
        )


def spent(days: Sequence[tuple[dt.date, int, str]], setting: Setting) -> tuple[Bill, Bill]:
    """What a backfill from nothing asks, and what asking for it once more asks, when all is complete."""
    first, again = Bill(), Bill()
    with in_memory() as folder, paced(days, setting, folder) as world:
        ask = world.warehouse.evidence
        bill = first

        def counted(wanted: Wanted, *, purpose: str, stamps: Wanted | None = None) -> Answers:
            bill.add(wanted, stamps)
            return ask(wanted, purpose=purpose, stamps=stamps)

        world.warehouse.evidence = counted  # type: ignore[method-assign]
        world.enqueue(days[0][0], days[-1][0])
        world.run(limit=10_000_000)
        bill = again
        world.enqueue(days[0][0], days[-1][0])
        world.run(limit=10_000_000)
    return first, again


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("--dates", nargs="+", type=int, default=[28, 213])
    options.add_argument("--gate", type=float, default=0.0)
    chosen = options.parse_args()
    print(f"  {'':<42} {'queries':>8} {'tables':>8} {'GiB':>8} {'USD':>7} {'of a look':>10}")
    for number in chosen.dates:
        days = calendar()[:number]
        look = Bill(queries=number * len(OF), tables=number * len(OF))
        per_job = Bill(queries=look.queries * number * len(OF), tables=look.tables * number * len(OF))
        first, again = spent(days, Setting(gate=chosen.gate))
        print(f"{number} dates, {number * len(OF)} jobs at most")
        print(look.row("the operators' tool, one look", look))
        print(per_job.row("the operators' tool, a look per job", look))
        print(first.row("backfilld, from nothing to done, all gates", look))
        print(again.row("backfilld, asked once more", look), flush=True)


if __name__ == "__main__":
    main()
