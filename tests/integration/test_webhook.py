"""Digests over a real HTTP server: each once, retried when it fails, and never with the secret in sight."""

import dataclasses
import datetime as dt
import logging
import time

import pytest

from backfilld.api.cli.commands import serve
from backfilld.api.notifications import messages, webhook
from backfilld.api.notifications.webhook import DeliveryFailed, Notifier
from backfilld.state.rules.date_outcomes import Outcome
from tests.integration.hooks import SECRET, hook
from tests.simulation.world import ME, Work

FIRST = "2021-10-19"


@pytest.fixture
def hooked():
    with hook() as one:
        yield one


@pytest.fixture
def notifier(api, hooked):
    return Notifier(api.behind.context, hooked.url)


def run_and_tell(api, notifier):
    """The world to its end, telling after each step as often as anything could be due."""
    notifier.send_due()
    while api.world.step():
        notifier.send_due()
    notifier.send_due()


def waited(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_backfill_is_told_in_five_digests_and_never_by_date(api, hooked, notifier):
    api.enqueue("2021-10-19", "2021-11-07", note="the <first> season & more")
    run_and_tell(api, notifier)
    assert len(hooked.told) == 5
    start, *quarters, end = hooked.told
    assert start == (
        "nba: backfill 1 started: 2021-10-19..2021-11-07, 20 enqueued, requested by anonymous:"
        " the &lt;first&gt; season &amp; more"
    )
    for text, percent in zip(quarters, (25, 50, 75), strict=True):
        assert text.startswith(f"nba: backfill 1 has passed {percent} %: ")
        assert "of 20 dates have ended" in text
        assert "ETA 2" in text or ". ETA unknown: " in text
    assert end.startswith("nba: backfill 1 finished (100 %), started ")
    assert "complete" in end
    assert end.splitlines()[-2].split() == ["complete", "20"]


def test_a_restart_tells_nothing_twice(api, hooked):
    api.enqueue("2021-10-19", "2021-10-22")
    steps = 0
    while api.world.step():
        # Given a daemon that starts anew after each step
        Notifier(api.behind.context, hooked.url).send_due()
        steps += 1
    assert steps > 5
    Notifier(api.behind.context, hooked.url).send_due()
    assert len(hooked.told) == len(set(hooked.told)) == 5


def test_what_ends_at_once_is_told_once(api, hooked, notifier):
    # Given a range that is done, and one that nothing is expected of
    api.enqueue(FIRST)
    run_and_tell(api, notifier)
    hooked.told.clear()
    api.enqueue(FIRST)
    api.enqueue("2021-07-01", "2021-07-03")
    run_and_tell(api, notifier)
    again, summer = hooked.told
    assert again.splitlines()[-2].split() == ["already_done", "1"]
    assert "backfill 3 finished" in summer


def test_a_stop_by_max_failures_is_told_each_time(api, hooked, notifier):
    # Given two dates that fail, far apart
    failing = ("2021-10-19", "2021-11-08")
    well = api.world.well
    api.world.script = lambda job: Work(code=1) if job.env["BACKFILLD_DATE"] in failing else well(job)
    number = api.enqueue("2021-10-19", "2021-11-20", max_failures=1)
    run_and_tell(api, notifier)
    (stopped,) = hooked.about("is stopped")
    assert "max_failures is 1" in stopped
    assert f"backfilld resume {number}" in stopped
    # When it goes on and is stopped again
    api.world.commands.resume(number, by=ME)
    run_and_tell(api, notifier)
    assert len(hooked.about("is stopped")) == 2


def test_a_paused_processor_is_told_once_with_its_error(api, hooked, notifier):
    api.world.script = lambda job: Work(code=1)
    api.enqueue("2021-10-19", "2021-10-28")
    run_and_tell(api, notifier)
    (paused,) = hooked.about("nba: box is held")
    assert "the same error 5 times in a row" in paused
    assert "Live backfills: 1." in paused
    assert "backfilld release processor box" in paused


def test_what_an_operator_holds_is_no_news(api, hooked, notifier):
    api.enqueue(FIRST)
    api.world.commands.hold("processor", "cache", by=ME, reason="repair")
    run_and_tell(api, notifier)
    assert not [text for text in hooked.told if "release processor" in text and "is stuck" not in text]


def test_the_new_end_after_a_retry_is_told(api, hooked, notifier):
    # Given a backfill that has finished with a failure
    api.world.script = lambda job: Work(code=1)
    number = api.enqueue(FIRST)
    run_and_tell(api, notifier)
    (end,) = hooked.about("finished")
    assert Outcome.EXHAUSTED in end
    # When it is retried, and goes well
    api.world.script = api.world.well
    api.world.commands.retry(number, by=ME)
    hooked.told.clear()
    run_and_tell(api, notifier)
    # Then its new end is told, and nothing else
    (end,) = hooked.told
    assert "backfill 1 finished again (100 %): dates ran again, started " in end
    assert end.splitlines()[-2].split() == ["complete", "1"]


def test_a_cancel_is_told_with_its_outcomes(api, hooked, notifier):
    number = api.enqueue("2021-10-19", "2021-10-28")
    notifier.send_due()
    api.world.commands.cancel(number, by=ME)
    run_and_tell(api, notifier)
    assert "was cancelled" in hooked.told[-1]
    assert hooked.told[-1].splitlines()[-2].split() == ["cancelled", "10"]


def test_what_was_over_long_before_anybody_was_to_be_told_is_no_news(api, hooked, notifier):
    api.enqueue(FIRST)
    api.world.run()
    api.world.time += dt.timedelta(days=2).total_seconds()
    notifier.send_due()
    notifier.send_due()
    assert hooked.told == []


def test_after_an_outage_the_latest_is_told_and_no_backlog(api, hooked, notifier):
    # Given a webhook that fails while a backfill runs
    hooked.status = 500
    api.enqueue("2021-10-19", "2021-11-07")
    for _ in range(20):
        api.world.step()
        with pytest.raises(DeliveryFailed, match=r"127\.0\.0\.1 responds 500"):
            notifier.send_due()
    # When it works again
    api.world.run()
    hooked.status = 200
    notifier.send_due()
    # Then only the end is told
    (end,) = hooked.told
    assert "finished" in end


@pytest.mark.parametrize("status", [302, 404, 429, 500])
def test_whatever_is_not_success_is_told_again(api, hooked, notifier, status):
    api.enqueue(FIRST)
    hooked.status = status
    with pytest.raises(DeliveryFailed, match=str(status)):
        notifier.send_due()
    hooked.status = 200
    notifier.send_due()
    assert len(hooked.told) == 1


def test_a_message_that_is_refused_for_itself_keeps_no_other_back(api, hooked, notifier, monkeypatch):
    # Given a webhook that will never take what there is to say of the first backfill
    taken = hooked.take
    monkeypatch.setattr(
        hooked, "take", lambda path, body: 400 if "backfill 1 " in body["text"] else taken(path, body)
    )
    api.enqueue(FIRST)
    api.enqueue("2021-10-20")
    with pytest.raises(DeliveryFailed, match="responds 400"):
        notifier.send_due()
    (told,) = hooked.told
    assert "backfill 2 started" in told


def test_its_thread_tries_again_counts_and_says_what_is_wrong(api, hooked, caplog):
    # Given a webhook that fails
    hooked.status = 503
    notifier = Notifier(api.behind.context, hooked.url, on_delivery=api.metrics.on_notification, backoff=0.02)
    api.app.extensions["backfilld-health-notes"] = notifier.health_notes
    api.enqueue(FIRST)
    with caplog.at_level(logging.DEBUG, logger="backfilld.api"):
        notifier.start()
        waited(lambda: hooked.refused >= 3)
        # Then people see it, the daemon is ready all the same, and the failures are counted
        waited(lambda: "[!] webhook: 127.0.0.1 responds 503" in api.client.get("/readyz?verbose").text)
        assert api.client.get("/readyz").status_code == 200
        waited(lambda: api.scrape()["backfilld_notification_failures_total"] >= 3)
        # When it works again, it is told, and nothing is wrong any more
        hooked.status = 200
        waited(lambda: len(hooked.told) == 1)
        waited(lambda: not notifier.health_notes())
        samples = api.scrape()
        assert (
            samples["backfilld_notifications_total"] == samples["backfilld_notification_failures_total"] + 1
        )
        notifier.stop()
    # Then one line has told of it, however often it failed, and none has told the URL
    warned = [
        record.getMessage() for record in caplog.records if "notification failed" in record.getMessage()
    ]
    assert warned == ["notification failed: 127.0.0.1 responds 503"]
    assert SECRET not in caplog.text


def test_a_standby_tells_nobody_what_it_could_not_note(api, hooked):
    # Given a daemon that has a webhook too, and stands by
    chosen = dataclasses.replace(api.behind.settings, webhook=hooked.url)
    notifier = serve._notifier(chosen, api.behind, api.metrics)
    api.enqueue(FIRST)
    api.behind.standby = "leader is night:4711"
    notifier.send_due()
    assert hooked.told == []
    # Then it tells once it leads
    api.behind.standby = ""
    notifier.send_due()
    assert len(hooked.told) == 1


def test_it_stops_after_the_message_that_is_under_way(api, hooked, notifier, monkeypatch):
    # Given two messages that are due, and a stop while the first is sent
    api.enqueue(FIRST)
    api.enqueue("2021-10-20")
    meant = webhook.post

    def post(url, text):
        notifier._stopping.set()
        meant(url, text)

    monkeypatch.setattr(webhook, "post", post)
    notifier.send_due()
    # Then the second is left to the next daemon
    assert len(hooked.told) == 1
    Notifier(api.behind.context, hooked.url).send_due()
    assert len(hooked.told) == 2


def test_an_error_that_nobody_foresaw_does_not_end_the_telling(api, hooked, monkeypatch, caplog):
    # Given one that lasts for a while
    meant, wrong = messages.due, iter([ZeroDivisionError("0 of 0")] * 3)

    def due(tx, context):
        if fault := next(wrong, None):
            raise fault
        return meant(tx, context)

    monkeypatch.setattr(messages, "due", due)
    api.enqueue(FIRST)
    notifier = Notifier(api.behind.context, hooked.url, backoff=0.02)
    notifier.start()
    # Then it is told of once, and what was due is told in the end
    waited(lambda: len(hooked.told) == 1)
    notifier.stop()
    assert [
        record.levelname for record in caplog.records if record.name == "backfilld.api.notifications.webhook"
    ] == ["ERROR"]
    assert "ZeroDivisionError: 0 of 0" in caplog.text


def test_a_slow_webhook_is_given_up_and_holds_nobody_up(api, hooked, notifier, monkeypatch):
    # Given a webhook that takes a message and does not answer
    monkeypatch.setattr(webhook, "TIMEOUTS", (5.0, 0.2))
    hooked.answering.clear()
    api.enqueue(FIRST)
    with pytest.raises(DeliveryFailed, match=r"127\.0\.0\.1 does not respond in time"):
        notifier.send_due()
    # Then the database is nobody's meanwhile
    notifier.start()
    api.enqueue("2021-10-20")
    api.world.run()
    notifier.stop()


def test_a_webhook_that_is_not_there_is_told_of_without_its_url(api, caplog):
    notifier = Notifier(api.behind.context, f"http://127.0.0.1:1{SECRET}")
    api.enqueue(FIRST)
    with pytest.raises(DeliveryFailed) as told:
        notifier.send_due()
    assert str(told.value) == "127.0.0.1 cannot be reached (ConnectionError)"
    assert told.value.__cause__ is None


def test_a_host_that_cannot_be_one_is_told_of_like_any_that_is_away():
    with pytest.raises(DeliveryFailed, match=r"a\.\.b cannot be reached"):
        webhook.post("http://a..b/services/secret", "text")
