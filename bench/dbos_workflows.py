"""The 5 + 5 + 4 shape as DBOS workflows; run by `bench.overhead` in an environment that has DBOS.

python dbos_workflows.py DATES FOLDER
"""

import asyncio
import sys
from pathlib import Path

from dbos import DBOS, DBOSConfig

PARALLEL, SEQUENTIAL = (5, 5), 4
SLOTS = 8
slots = asyncio.Semaphore(SLOTS)


@DBOS.step()
async def job(date: int) -> int:
    """One processor's job for one date: DBOS commits its end with its result."""
    async with slots:
        process = await asyncio.create_subprocess_exec("/bin/true", str(date))
        return await process.wait()


@DBOS.workflow()
async def prepare(date: int) -> None:
    """The phases of a date whose jobs may run beside each other."""
    for count in PARALLEL:
        await asyncio.gather(*(job(date) for _ in range(count)))


@DBOS.workflow()
async def sequence(dates: int) -> None:
    """The last phase: its steps one after another, over all dates, each date after its other phases."""
    prepared = [await DBOS.start_workflow_async(prepare, date) for date in range(dates)]
    for date, handle in enumerate(prepared):
        await handle.get_result(polling_interval_sec=0.01)
        for _ in range(SEQUENTIAL):
            await job(date)


async def main(dates: int, folder: Path) -> None:
    """Run all dates with the state in a database of the folder."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    await sequence(dates)
    DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
