"""Runs all benchmarks of the harness, which print one line each.

  python benchmarks/run_all.py [--leaderboard=<unpacked external_tuning folder of AlgoPerf 0.5>]

Each runs in its own process, one after the other; run nothing else on the machine meanwhile. Ratios are taken within
one process or in turn, so they vary less between machines than the absolute numbers do.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from algoperf import commands, frameworks

HERE = Path(__file__).resolve().parent
FLAGS = flags.FLAGS
flags.DEFINE_string("leaderboard", None, "Folder with the result logs to score; skipped without it.")
flags.DEFINE_list("workloads", ["digits", "wmt_mini"], "Workloads for overhead and input pipelines.")

STEP_TIMES = (
    *("criteo1tb", "fastmri", "imagenet_resnet", "imagenet_vit"),
    *("librispeech_conformer", "librispeech_deepspeech", "ogbg", "wmt"),
)
STEPS = {"digits": (200, 31), "wmt_mini": (15, 21)}  # (steps per turn, turns): a turn takes 0.5 s or more.


def _run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)


def main(argv: Sequence[str]) -> None:
    del argv
    for workload in FLAGS.workloads:
        steps, pairs = STEPS.get(workload, (10, 9))
        for framework in frameworks.FRAMEWORKS:
            missing = framework.missing_packages()
            if missing:
                print(f"{workload} {framework.name}: skipped, {', '.join(missing)} not installed")
                continue
            sizes = (f"--steps={steps}", f"--pairs={pairs}")
            _run("harness_overhead.py", f"--workload={workload}", f"--framework={framework.name}", *sizes)
    installed = [one.name for one in frameworks.FRAMEWORKS if not one.missing_packages()]
    _run("input_pipeline.py", *(f"--workload={name}" for name in FLAGS.workloads))
    for family in ("imagenet", "fastmri", "criteo", "librispeech", "ogbg"):
        _run(f"{family}_pipeline.py")
    _run("language_model_data.py")
    for name in installed:
        _run("language_model_step.py", f"--framework={name}")
    for workload in STEP_TIMES:
        for name in installed:
            _run("step_time.py", f"--workload={workload}", f"--framework={name}")
    _run("optimizer_step.py", f"--frameworks={','.join(installed)}")
    _run("campaign_overhead.py")
    if FLAGS.leaderboard:
        _run("scoring_time.py", FLAGS.leaderboard)
    else:
        print("scoring time: skipped, pass --leaderboard=<folder with result logs>")


if __name__ == "__main__":
    commands.run(main)
