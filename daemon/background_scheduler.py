"""The scheduler of the daemon's periodic jobs. It runs functions at times, and knows nothing of dates."""

from __future__ import annotations

import datetime as dt
import logging

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from backfilld.state.store.database_errors import DatabaseUnavailable


def new_scheduler() -> BackgroundScheduler:
    """A scheduler in UTC and in memory. A late job runs late, is never dropped and never overlaps itself."""
    scheduler = BackgroundScheduler(
        timezone=dt.UTC,
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    # Each second it would warn that a job still runs, such as one that waits for the database.
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    logging.getLogger("apscheduler.executors.default").addFilter(_is_not_of_the_database)
    return scheduler


def _is_not_of_the_database(record: logging.LogRecord) -> bool:
    """Whether to log the error of a job. The workers log those of the state database, in a sentence."""
    return not (record.exc_info and isinstance(record.exc_info[1], DatabaseUnavailable))
