"""Why times are infinite, in words."""

import pytest

from scoring import misses_report
from scoring.score_field import Config, run


@pytest.fixture
def report(write_trial, suite, tmp_path, monkeypatch):
    """Of a field of which nobody reached 'up'; one entry failed."""
    monkeypatch.setattr("algoperf.suites.load", lambda name: suite)
    for number, name in enumerate("abcd"):
        for study in range(3):
            rows = [(100.0 + study / 7, 0.5 + number / 20 + study / 100), (149.0, 0.5 + number / 20)]
            write_trial(name, "up_jax", study=study, rows=rows, status="failed" if name == "d" else None)
    return lambda: run(
        Config(submissions_dir=tmp_path / "submissions", ruleset="self", bootstrap_samples=0)
    ).text()


def test_each_miss_of_a_small_field_has_its_sentence(report):
    assert "best accuracy 0.62," in report()


def test_in_a_large_field_misses_that_only_differ_in_their_best_metric_are_one_paragraph(report, monkeypatch):
    monkeypatch.setattr(misses_report, "MANY", 2)
    text = report()
    assert "up: accuracy >= 0.8 not reached in enough studies; best: c 0.62, b 0.57, a 0.52\n" in text
    assert "trial_failed" in text
    assert "workload_missing" in text
