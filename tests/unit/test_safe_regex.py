"""Regular expressions that take exponential time are refused, whatever their repeats are bounded by."""

import pytest

from backfilld.state.pipeline.safe_regex import check_pattern


@pytest.mark.parametrize(
    "pattern",
    ["(a{1,2})+$", "(a?b?)*c", "(a*){20}b", "(?:a|a){0,100}b", "(a{0,40}){0,40}b", "((?:a|bb){9}){9}"],
)
def test_a_repeat_of_something_that_matches_in_several_ways_is_refused(pattern):
    with pytest.raises(ValueError, match="repeats what is repeated or has alternatives"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"(\d{1,3}\.){3}\d{1,3}", "(?:ERROR|FATAL)(?: \\w+)?: .*", "a{500,}", "(ab){0,99}", "(?:E|W){2}"],
)
def test_a_repeat_that_matches_in_few_ways_is_taken(pattern):
    assert check_pattern(pattern) == pattern
