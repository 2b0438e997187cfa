"""Published numbers of 2025 and 2026: from what ships always, from the published logs where they are at hand."""

import contextlib
import csv
import dataclasses
import json
import math
import tarfile

import numpy as np
import pytest

from algoperf import suites
from algoperf.spec import UsageError
from scoring import archive, published, score_field, step_times
from scoring.leaderboard import make_leaderboard
from scoring.results import Results
from scoring.score_field import Config

A100 = {
    "ademamix": 0.5067340067340069,
    "cautious_nadamw": 0.2951739618406281,
    "lion": 0.2626262626262625,
    "muon": 0.269921436588103,
    "muon_torch": 0.41189674523007774,
    "muon_torch_jax_hps": 0.0,
    "muon_torch_jax_hps_achandr": 0.21492704826038114,
    "muon_torch_jax_hps_lr_fix": 0.30246913580246876,
    "nadamw": 0.36531986531986466,
    "nadamw_baselinev05": 0.4360269360269367,
    "nadamw_resnet": 0.17003367003367006,
    "schedule_free_adamw": 0.466891133557801,
    "schedule_free_adamw_jax": 0.40123456790123496,
    "schedule_free_adamw_jax_v2": 0.42929292929292967,
    "schedule_free_adamw_v2": 0.5679012345679016,
    "single_worker_diloco": 0.11672278338944997,
}
ALL = {"submissions_dir": None, "suite": "algoperf_a100", "ruleset": "self", "compare_to": "algoperf_a100"}
OFFICIAL = Config(**ALL, official=True, bootstrap_samples=0)


@pytest.fixture(scope="module", autouse=True)
def unpacked_once():
    """The archive that ships, unpacked once for all tests."""
    path = published.file_of("algoperf_a100", "self", published.TRIALS)
    with archive.unpacked(path) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "unpacked", lambda given: contextlib.nullcontext(folder))
        yield


@pytest.fixture(scope="module")
def shipped(unpacked_once):
    return score_field.run(OFFICIAL)


@pytest.fixture(scope="module")
def logs(shared_data, tmp_path_factory):
    """The published logs, unpacked."""
    root = tmp_path_factory.mktemp("a100")
    path = shared_data / "algoperf_a100_self_tuning.tar.xz"
    if not path.exists():
        pytest.skip(f"no published logs at {path}")
    with tarfile.open(path) as archive:
        archive.extractall(root, filter="data")
    return root / "self_tuning"


def expected(shared_data, name):
    """submission -> column -> number, NaN for an empty cell."""
    with (shared_data / f"algoperf_a100_{name}.csv").open(newline="") as file:
        rows = {row.pop("submission"): row for row in csv.DictReader(file)}
    return {who: {key: float(cell or "nan") for key, cell in row.items()} for who, row in rows.items()}


def scores(scored):
    return {
        name.rpartition("/")[2]: value for name, value in zip(scored.board.submissions, scored.board.scores)
    }


def test_the_official_scores_of_2026_come_out_of_the_copy_that_ships(shipped):
    assert scores(shipped) == pytest.approx(A100, rel=0, abs=1e-12)


def test_the_entries_of_2026_can_be_scored_by_updates(shipped):
    settings = dataclasses.replace(shipped.board.settings, axis="steps")
    board = make_leaderboard(Results(shipped.board.submissions, shipped.trials), settings)
    cell = board.table.cells["algoperf_a100/schedule_free_adamw_jax", "finewebedu_lm"]
    assert 56_000 < cell.value < 58_000
    assert 0.4 < board.scores.max() < 0.5


def test_the_report_of_2026_names_what_a_framework_costs_and_fits_its_width():
    text = score_field.run(Config(**ALL, bootstrap_samples=50)).text()
    assert "Seconds per update by framework" in text
    assert "librispeech_conformer     2.6 (8)   0.73 (6)      jax 3.51 x" in text
    assert "finewebedu_lm: ppl <= 22.2995 not reached in enough studies; best: " in text
    assert "run on 4 x NVIDIA A100 40 GB" in text
    assert "algoperf_a100/" not in text, "where all are of one leaderboard its name fills the tables"
    assert max(map(len, text.splitlines())) <= 100


def test_entries_of_2026_ran_in_one_ruleset():
    with pytest.raises(UsageError, match="use --ruleset=self, or leave out --compare_to"):
        score_field.run(Config(**{**ALL, "ruleset": "external"}))


def test_own_results_without_a_test_split_are_placed_among_the_entries_of_2026(tmp_path):
    for study in range(3):
        folder = tmp_path / "mine" / f"study_{study}" / "finewebedu_lm_jax" / "trial_1"
        folder.mkdir(parents=True)
        (folder / "eval_measurements.csv").write_text(
            "score,global_step,train/ppl,validation/ppl,accumulated_eval_time\n"
            f"40.0,1,60000.0,60000.{study},100.0\n{9000 + study}.0,20000,22.0,22.2995,200.0\n"
        )
        facts = {"status": "target_reached", "validation_target": 22.2995, "test_target": None, "suite": "x"}
        reached = {"submission_time_sec": 9000.0 + study, "global_step": 20000}
        (folder / "summary.json").write_text(json.dumps({**facts, "validation_target_reached": reached}))
    config = Config(
        **{**ALL, "submissions_dir": tmp_path}, workloads=("finewebedu_lm",), bootstrap_samples=50
    )
    scored = score_field.run(config)
    assert not scored.findings
    assert scored.board.order()[0] == scored.board.submissions.index("mine")
    assert "<= 22.2995" in scored.text()
    assert "  algoperf_a100/muon  " in scored.text()


@pytest.mark.parametrize(
    ("ruleset", "official"),
    [
        ("external", {"shampoo": 0.6244, "baseline": 0.4590}),
        ("self", {"schedule_free_adamw_v2": 0.75}),
    ],
)
def test_the_official_scores_of_2025_come_out_of_the_published_medians(ruleset, official):
    config = Config(
        submissions_dir=None,
        suite="algoperf_v06",
        ruleset=ruleset,
        compare_to="algoperf_v06",
        official=True,
        bootstrap_samples=0,
    )
    assert scores(score_field.run(config)) == pytest.approx(official, abs=5e-5)


def test_the_logs_of_2026_give_the_official_scores_times_and_step_times(logs, shared_data, tmp_path):
    config = dataclasses.replace(OFFICIAL, submissions_dir=logs, compare_to=None, output_dir=tmp_path)
    board = score_field.run(config).board
    wanted = {who: row["score"] for who, row in expected(shared_data, "self_expected_scores").items()}
    assert dict(zip(board.submissions, board.scores)) == pytest.approx(wanted, rel=0, abs=1e-12)
    for name, rows in (
        ("self_expected_time_to_targets", "time_to_target.csv"),
        ("step_time", "step_time.csv"),
    ):
        with (tmp_path / rows).open(newline="") as file:
            found = {row.pop("submission"): row for row in csv.DictReader(file)}
        for who, row in expected(shared_data, name).items():
            assert {key: float(cell or "nan") for key, cell in found[who].items()} == pytest.approx(
                row, rel=1e-12, nan_ok=True
            ), (name, who)


def test_the_copy_that_ships_is_what_the_logs_of_2026_say(logs, shipped):
    """Trials without evaluations are not in the copy; to the official procedure they do not exist either."""
    own = score_field.run(dataclasses.replace(OFFICIAL, submissions_dir=logs, compare_to=None)).trials
    copied = [
        dataclasses.replace(trial, submission=trial.submission.rpartition("/")[2]) for trial in shipped.trials
    ]
    assert repr(copied) == repr(list(own))  # NaN is not equal to itself.


def test_the_copy_of_2026_gives_every_curve(shipped):
    suite = suites.load("algoperf_a100")
    found = published.curves("algoperf_a100", "self", suite, shipped.trials)
    assert len(found) == 421
    assert all(curve.log is not None for curve in found)


def test_step_times_of_2026_stand_beside_those_of_the_same_framework(shipped):
    found = step_times.measure(shipped.trials, shipped.board.workloads)
    jax = [
        cell.seconds
        for (_, workload), cell in found.cells.items()
        if (workload, cell.framework) == ("wmt", "jax")
    ]
    muon = found.cells["algoperf_a100/muon", "wmt"]
    assert muon.seconds == pytest.approx(0.173934285073483, rel=1e-12)
    assert found.relative("algoperf_a100/muon", "wmt") == pytest.approx(muon.seconds / np.median(jax))
    assert math.isnan(found.relative("algoperf_a100/muon_torch_jax_hps", "librispeech_conformer"))
    assert found.effect("librispeech_conformer") == pytest.approx(3.51, abs=0.005)
