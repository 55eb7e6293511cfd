"""Two rules of movement that the database itself refuses to break."""

import datetime as dt

import pytest
import sqlalchemy as sa

from backfilld.state.records import AttemptStatus
from backfilld.state.store import attempts
from backfilld.state.store.database import Database


@pytest.fixture
def db(state_url):
    database = Database(state_url)
    database.upgrade()
    with database.write() as tx:
        tx.execute(
            sa.text(
                'INSERT INTO backfills (id, start, "end", dates, sources, created_at)'
                " VALUES (1, '2021-10-19', '2021-10-19', 1, 'all', 0)"
            )
        )
    yield database
    database.close()


def claim(output, sequence, writer=0):
    return attempts.Claim(
        dates=(dt.date(2021, 10, 19),),
        processor="p",
        phase="phase4",
        backfill_id=1,
        executor="local",
        output=output,
        writer=writer,
        sequence=sequence,
    )


def test_a_second_attempt_in_a_sequential_phase_is_refused(db):
    with db.write() as tx:
        attempts.claim(tx, claim("a", "phase4"), 0.0)
    with pytest.raises(attempts.PhaseBusy), db.write() as tx:
        attempts.claim(tx, claim("b", "phase4"), 0.0)


def test_a_second_writer_of_a_table_is_refused(db):
    with db.write() as tx:
        attempts.claim(tx, claim("a", None), 0.0)
    with pytest.raises(attempts.TableBusy), db.write() as tx:
        attempts.claim(tx, claim("a", None), 0.0)


@pytest.mark.parametrize("columns", [("'a'", "0", "NULL"), ("'b'", "0", "'phase4'")])
def test_raw_sql_cannot_break_the_rules_either(db, columns):
    with db.write() as tx:
        attempts.claim(tx, claim("a", "phase4"), 0.0)
    output, writer, sequence = columns
    row = f"'2021-10-20', 'q', 'phase4', 1, 'local', {output}, {writer}, {sequence}, 'running', 0, 0"
    names = "date, processor, phase, backfill_id, executor, output, writer, sequence, status"
    names += ", claimed_at, started_at"
    with pytest.raises(sa.exc.IntegrityError), db.write() as tx:
        tx.execute(sa.text(f"INSERT INTO attempts ({names}) VALUES ({row})"))


def test_an_ended_attempt_frees_its_place(db):
    with db.write() as tx:
        number = attempts.claim(tx, claim("a", "phase4"), 0.0)
        ending = attempts.AttemptEnd(status=AttemptStatus.EXITED, exit_code=0, ended_at=1.0)
        assert attempts.close(tx, {number: ending}) == [number]
        assert attempts.close(tx, {number: ending}) == []
        attempts.claim(tx, claim("a", "phase4"), 2.0)
