"""The scheduler of the daemon's periodic jobs. It runs functions at times, and knows nothing of dates."""

from __future__ import annotations

import datetime as dt
import logging

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from backfilld.state.store.errors import DatabaseUnavailable

log = logging.getLogger(__name__)


def new_scheduler() -> BackgroundScheduler:
    """A scheduler in UTC and in memory. A late job runs late, is never dropped and never overlaps itself."""
    scheduler = BackgroundScheduler(
        timezone=dt.UTC,
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    scheduler.add_listener(_report, EVENT_JOB_ERROR)
    return scheduler


def _report(event: JobExecutionEvent) -> None:
    if not isinstance(event.exception, DatabaseUnavailable):  # the workers log that
        log.error("the periodic job %s failed: %s", event.job_id, event.exception)
