"""How old a calendar may be that answers a request, and what an answer says of the dates beside it."""

import datetime as dt

import pytest

from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

MONDAY = dt.date(2024, 3, 4)
DAYS = [MONDAY + dt.timedelta(days=n) for n in range(7)]
FILE = {"file": "calendar.csv"}
QUERY = {"query": "SELECT date, games FROM ref.games WHERE date BETWEEN @start AND @end"}
SEASON = {"name": "2024", "opens": MONDAY, "closes": dt.date(2024, 6, 1)}
CLOSING = {"name": "closing", "query": "SELECT date FROM ref.closing_days"}


@pytest.fixture
def make(tmp_path):
    made = []

    def world(calendar, **report):
        shape = pipeline(
            phase("raw", processor("sales")),
            phase("reports", processor("report", command=["true", "{dates}"], **report)),
            calendar=calendar,
        )
        made.append(World(shape, dict.fromkeys(DAYS[:4], 5), tmp_path))
        return made[-1]

    yield world
    for one in made:
        one.db.close()


def answers(world, first, last=None, **options):
    details = world.enqueue(first, last or first, **options).details
    return [(detail.outcome.value, detail.reason) for detail in details]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("days", [[], [{"name": "mondays", "weekdays": ["mon"]}]])
def test_a_corrected_file_counts_at_once(make, dry_run, days):
    world = make({**FILE, "days": days})
    assert answers(world, DAYS[4]) == [("not_expected", "nothing on this date")]
    world.warehouse.calendar[DAYS[4]] = 5
    assert answers(world, DAYS[4], dry_run=dry_run)[0][0] == "enqueued"
    world.warehouse.calendar[DAYS[3]] = 0
    assert answers(world, DAYS[3], dry_run=dry_run) == [("not_expected", "no games on this date")]


@pytest.mark.parametrize("calendar", [QUERY, {**FILE, "days": [CLOSING]}])
def test_an_excluded_date_is_queried_again_after_some_seconds_and_not_with_each_request(make, calendar):
    world = make(calendar)
    assert answers(world, DAYS[4])[0][0] == "not_expected"
    world.warehouse.calendar[DAYS[4]] = 5
    for _ in range(20):
        world.time += 0.2
        assert answers(world, DAYS[4])[0][0] == "not_expected"
    assert world.warehouse.calendar_questions == 1
    world.time += 2
    assert answers(world, DAYS[4], dry_run=True)[0][0] == answers(world, DAYS[4])[0][0] == "enqueued"


def test_dates_that_are_expected_or_in_no_season_are_not_queried_again_within_a_minute(make):
    world = make({**QUERY, "season": [SEASON]})
    before = MONDAY - dt.timedelta(days=2)
    first = answers(world, before, DAYS[3])
    world.time += 59
    again = [outcome for outcome, _ in answers(world, before, DAYS[3])]
    assert again == ["not_expected"] * 2 + ["joined"] * 4
    assert world.warehouse.calendar_questions == 1
    assert first[0] == ("not_expected", "preseason: 2024 opens 2024-03-04")


def test_a_done_date_that_a_corrected_query_names_is_enqueued_again(make):
    world = make({"days": [CLOSING]}, days="closing")
    named = world.warehouse.calendar
    named.clear()
    world.warehouse.counts = lambda start, end: {date: {"days:closing": 1} for date in named}
    world.enqueue(MONDAY, MONDAY)
    world.run(limit=100)
    assert world.dates()[MONDAY].outcome == "complete"
    world.time += 100
    assert answers(world, MONDAY)[0][0] == "already_done"
    named[MONDAY] = 1
    world.time += 6
    assert answers(world, MONDAY) == [("enqueued", "was done, but: report never_ran")]


def test_an_answer_by_a_calendar_that_cannot_be_read_now_says_so(make):
    world = make(FILE)
    world.enqueue(DAYS[4], DAYS[4])
    world.warehouse.down = "calendar.csv: no such file"
    reason = "nothing on this date; the calendar could not be read: calendar.csv: no such file"
    assert answers(world, DAYS[4]) == [("not_expected", reason)]


@pytest.mark.parametrize("calendar", [FILE, QUERY])
@pytest.mark.parametrize("dry_run", [True, False])
def test_only_expected_dates_of_a_week_are_missing_where_its_calendar_was_known_in_part(
    make, calendar, dry_run
):
    world = make(calendar, period="week")
    world.warehouse.calendar.clear()
    world.warehouse.calendar |= dict.fromkeys(DAYS[2:4], 5)
    with world.db.write() as tx:  # as a request does whose needs reach back to this date
        tx.exec_driver_sql(
            "INSERT INTO calendar_days (date, counts, asked_at) VALUES (?, ?, ?)",
            (DAYS[3].isoformat(), '{"games": 5}', world.time),
        )
    beside = "report takes the week of 2024-03-04 as a whole, and no backfill has 2024-03-06 of it"
    assert answers(world, DAYS[3], dry_run=dry_run) == [("enqueued", beside)]


def test_no_date_of_a_week_is_missing_where_its_calendar_cannot_be_read(make):
    world = make(FILE, period="week")
    with world.db.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO calendar_days (date, counts, asked_at) VALUES (?, ?, ?)",
            (DAYS[3].isoformat(), '{"games": 5}', world.time),
        )
    world.warehouse.down = "calendar.csv: no such file"
    assert answers(world, DAYS[3]) == [("enqueued", "")]
