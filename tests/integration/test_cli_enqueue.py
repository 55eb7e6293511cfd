"""What `enqueue` prints: a line for each outcome and reason, with the ranges of its dates."""

import datetime as dt


def test_one_date_is_no_dates(command):
    assert command("enqueue", "2021-10-28", "--dry-run").out.startswith(
        "dry run: 2021-10-28..2021-10-28, 1 date: 1 enqueued"
    )


def test_a_range_is_answered_in_ranges_however_long_it_is(command):
    # Given a date that is done
    command("enqueue", "2021-10-28", "--wait")
    short = command("enqueue", "2021-10-10", "2021-10-30", "--dry-run").out.splitlines()
    assert short == [
        "dry run: 2021-10-10..2021-10-30, 21 dates: 11 enqueued, 9 not_expected, 1 already_done",
        "  2021-10-10..2021-10-18  not_expected  preseason: 2021-22 opens 2021-10-19",
        "  2021-10-28  already_done",
    ]
    long = command("enqueue", "2011-01-01", "2021-10-30", "--dry-run").out.splitlines()
    assert (
        long[0]
        == "dry run: 2011-01-01..2021-10-30, 3956 dates: 3944 not_expected, 11 enqueued, 1 already_done"
    )
    assert len(long) == len(short)
    assert long[1].startswith("  2011-01-01..2021-10-18  not_expected  ")
    # And a request that is taken prints the same of dates between others
    taken = command("enqueue", "2021-10-27", "2021-10-29").out.splitlines()
    assert taken == ["backfill 2: 2021-10-27..2021-10-29, 3 dates: 2 enqueued, 1 already_done", short[2]]


def test_a_backfill_that_had_nothing_to_do_is_listed_with_what_its_dates_were(command):
    command("enqueue", "2021-10-28", "--wait")
    command("enqueue", "2021-10-28")
    assert command("status").rows("2 ", "finished", "2021-10-28..2021-10-28", "1 already_done")


def test_a_done_date_that_cannot_be_checked_now_names_the_time_of_its_evidence(command, api):
    # Given a done date, and a warehouse that does not answer
    command("enqueue", "2021-10-28", "--wait")
    asked = [check["asked_at"] for check in api.get("/v1/dates/2021-10-28")["processors"]]
    checked = f"{min(asked)[:19]}Z"
    api.world.time += 3600
    api.world.warehouse.down = "connection refused"
    # When it is requested again, then the answer says what it rests on, and why
    for options in (["--dry-run"], []):
        ended = command("enqueue", "2021-10-28", *options)
        assert ended.code == 0
        assert ended.out.splitlines()[1] == (
            f"  2021-10-28  already_done  complete by the evidence of {checked};"
            " the warehouse could not be queried: connection refused"
        )


def test_dates_with_games_in_no_season_are_warned_of_in_the_answer_and_its_dry_run(command, api):
    # Given a schedule with games before the season of the file opens
    early = [dt.date(2021, 10, 14), dt.date(2021, 10, 15)]
    api.world.warehouse.calendar = {**api.world.warehouse.calendar, **dict.fromkeys(early, 2)}
    request = ("enqueue", "2021-10-12", "2021-10-20")
    warning = (
        "  warning: 2 dates have counts in the calendar outside of all seasons: 2021-10-14..2021-10-15;"
        " correct calendar.season"
    )
    for options in (["--dry-run"], []):
        assert command(*request, *options).out.splitlines()[1] == warning
    # And none is of dates without games
    assert "warning" not in command("enqueue", "2021-10-16", "2021-10-20", "--dry-run").out
