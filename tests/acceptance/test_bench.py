"""Every benchmark still runs and prints its table; how fast anything is, no test says."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (["overhead", "1", "--rounds", "1", "--only", "loop", "make", "backfilld"], "14"),
        (["makespan", "--dates", "9"], "1.000"),
        (["warehouse_cost", "--dates", "2"], "backfilld, asked once more"),
        (["scaling_with_dates", "10"], "10"),
        (["memory", "2", "--processors", "1"], "peak, MiB"),
        (["wake", "--jobs", "3", "--idle", "1"], "end to next step, ms: median"),
        (["recovery", "10"], "10"),
        (["heavy_clients", "hostile", "--seconds", "3", "--silent", "5", "--slow", "5"], "refused: none"),
        (["scaling_with_pipeline_size", "2", "--phases", "2"], "/metrics"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_a_benchmark_prints_its_table(
    words: list[str], title: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", words)
    importlib.import_module(f"bench.{words[0]}").main()
    assert title in capfd.readouterr().out
