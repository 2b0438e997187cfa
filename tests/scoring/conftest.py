"""Results folders made by hand, and the published logs where they are at hand."""

import csv
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from algoperf.suites import Ruleset, Suite, WorkloadTargets

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports as they are in a file, however wide the terminal of whoever runs the tests is."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def suite() -> Suite:
    """Two workloads, one of them with a held-out variant; 'up' wants accuracy 0.8, 'down' a loss of 0.2."""

    def targets(metric: str, higher: bool, value: float) -> WorkloadTargets:
        return WorkloadTargets(
            metric_name=metric,
            higher_is_better=higher,
            validation_target=value,
            test_target=None,
            runtime_budget_sec=100,
            step_hint=1000,
            eval_period_sec=10,
        )

    return Suite(
        name="test",
        description="A suite for tests.",
        workloads=("down", "up"),
        held_out={"up_variant": "up"},
        rulesets={
            "external": Ruleset(num_studies=3, num_trials=2),
            "self": Ruleset(num_studies=3, num_trials=1, budget_factor=1.5),
        },
        r_max=4.0,
        known_targets={
            "down": targets("loss", False, 0.2),
            "up": targets("accuracy", True, 0.8),
            "up_variant": targets("accuracy", True, 0.7),
        },
    )


@pytest.fixture
def write_trial(tmp_path: Path) -> Callable[..., Path]:
    """Writes one trial folder: write_trial('adam', 'wmt_mini_jax', study=0, trial=1, rows=[(seconds, metric)])."""

    def write(
        submission: str,
        folder: str,
        *,
        study: int = 0,
        trial: int = 1,
        rows: Sequence[tuple[float, float]] = (),
        metric: str = "accuracy",
        content: bytes | None = None,
        status: str | None = None,
        flags: dict | None = None,
    ) -> Path:
        path = tmp_path / "submissions" / submission / f"study_{study}" / folder / f"trial_{trial}"
        path.mkdir(parents=True)
        file = path / "eval_measurements.csv"
        if content is not None:
            file.write_bytes(content)
        else:
            header = ["accumulated_submission_time", "global_step", "score", f"validation/{metric}"]
            with file.open("w", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(header)
                writer.writerows([at, 10 * (index + 1), at, value] for index, (at, value) in enumerate(rows))
        if status:
            (path / "summary.json").write_text(json.dumps({"status": status}))
        if flags:
            (path / "flags_0.json").write_text(json.dumps(flags))
        return path

    return write


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published data; skips the test where it is absent."""
    if not (SHARED_DATA / "algoperf_v05_external_tuning.tar.xz").exists():
        pytest.skip(f"published logs are not in {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def published_logs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published evaluation logs, unpacked (in one pass: the archive is one compressed stream)."""
    root = tmp_path_factory.mktemp("v05")
    with tarfile.open(shared_data / "algoperf_v05_external_tuning.tar.xz", "r|xz") as archive:
        for member in archive:
            if member.name.endswith("/eval_measurements.csv"):
                path = root / member.name
                path.parent.mkdir(parents=True)
                path.write_bytes(archive.extractfile(member).read())
    return root / "external_tuning"
