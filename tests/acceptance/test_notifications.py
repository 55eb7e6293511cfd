"""The real daemon and a webhook: told once over a kill, and the URL reaches neither log nor job."""

import signal

from tests.acceptance import audit
from tests.acceptance.daemon import ONE_OF_EACH, daemon, jobs_alive
from tests.integration.hooks import SECRET, hook


def test_a_backfill_is_told_once_over_a_kill_and_the_secret_is_kept(tmp_path):
    with hook() as hooked, daemon(tmp_path / "d", pace="1", processors=ONE_OF_EACH, start=False) as one:
        # Given a daemon that is told of a webhook
        one.more_environment["BACKFILLD_WEBHOOK"] = hooked.url
        one.start()
        # When it is killed in the middle of a backfill, and goes on
        number = one.enqueue("2021-10-19", "2021-10-19")
        one.wait_for(lambda: hooked.about("started:"), "told of the start")
        one.wait_for(lambda: jobs_alive(one.folder), "running")
        assert not [pid for pid in jobs_alive(one.folder) if SECRET in environ(pid)]
        one.wait_for(lambda: noted(one), "noted as told")
        one.signal(signal.SIGKILL)
        one.start()
        one.finish(number)
        one.wait_for(lambda: hooked.about("finished"), "told of the end")
        assert one.signal(signal.SIGTERM) == 0
        # Then everything is told once
        assert len(hooked.about("started:")) == len(hooked.about("finished")) == 1
        assert len(hooked.told) == len(set(hooked.told)) <= 5
        assert "xoxb" not in one.log()


def noted(one):
    with audit.asking(one.database) as ask:
        return ask("SELECT * FROM notifications")


def environ(pid):
    try:
        with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
