"""A name that there is not is answered with names that there are, none of them cut."""

import pytest

from backfilld.state.spelling_suggestions import LONGEST, did_you_mean, nearest_name


def test_the_nearest_name_is_meant():
    assert did_you_mean("slotz", ["cwd", "env", "slots"]) == "did you mean 'slots'?"


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("recheck", ["max_evidence_age", "recheck_interval"], "recheck_interval"),
        ("apy", ["api"], "api"),
        ("boxes", ["zones", "box"], "box"),
        ("retries", ["refresh", "resources"], ""),
        ("snowflake", ["bigquery", "duckdb", "lake", "postgresql"], ""),
        ("daily", ["daily", "dailies"], ""),
    ],
)
def test_a_far_name_and_a_known_one_are_not_meant(name, known, meant):
    assert nearest_name(name, known) == meant


def test_without_a_near_one_as_many_are_told_as_a_sentence_bears():
    assert did_you_mean("x", ["box", "zones"]) == "known are box, zones"
    names = [f"processor_of_a_table_{n}" for n in range(40)]
    told = did_you_mean("x", names).removeprefix("known are ")
    assert len(told) <= LONGEST
    assert told.endswith(" ...")
    assert {name.rstrip(",") for name in told.split()[:-1]} <= {*names}


def test_a_name_of_what_the_file_has_none_of_is_answered_so():
    assert did_you_mean("x", []) == "there are none"
