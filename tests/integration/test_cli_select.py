"""`enqueue --select`, against the real API of a simulated world."""


def test_terms_are_separated_by_commas_or_repeated(command):
    for words in (("--select", "phase:phase2,zones"), ("--select", "phase:phase2", "--select", "zones")):
        ended = command("enqueue", "2021-10-27", *words, "--dry-run")
        (line,) = ended.rows("selected:")
        assert line.endswith(", zones")


def test_a_dry_run_names_what_becomes_stale_and_the_command_that_recomputes_it(command):
    ended = command("enqueue", "2021-10-27", "2021-10-28", "--select", "box", "--dry-run")
    (line,) = ended.rows("becomes stale")
    assert "on 2 dates" in line
    assert line.endswith("backfilld retry --stale")


def test_a_misspelt_processor_is_refused_with_the_nearest(command):
    ended = command("enqueue", "2021-10-27", "--select", "boxx+")
    assert ended.code != 0
    assert "did you mean 'box'?" in ended.err
