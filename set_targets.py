r"""Target setting: runs sweeps; targets, variant tests, search spaces, OptLists and tuning budgets from stored ones.

    python set_targets.py --workload=digits --trials=20 --reruns=5
    python set_targets.py run --workloads=wmt_mini,ogbg_mini --algorithms=nadamw,adamw --sweep_dir=~/sweep --plan
    python set_targets.py targets --sweep_dir=~/sweep
    python set_targets.py variants --sweep_dir=~/sweep --algorithms=nadamw
    python set_targets.py expected_best --sweep_dir=~/sweep --workloads=wmt_mini,ogbg_mini --output_dir=/tmp/out

  run             a sweep from its first run to the targets; killed or stopped, the same command goes on
  targets         validation and test targets from reruns of the best point, with provenance
  calibration     how well targets tell good choices from bad ones, beside the noise of reruns
  variants        whether variants are distinct from their bases (rank transfer) and trainable (10 percent rule)
  narrow          a narrow search space from the best point of each workload
  optlist         a list of points that together do well on all workloads
  budgets         quantiles of the best of k trials, exact and simulated
  degradation     worst-case degradation of one point over all workloads
  expected_best   expected best result over the number of trials, with intervals

The sweep folder holds <algorithm>/study_0/<workload>_<framework>/trial_<t>/, point t of the sweep,
reruns/<algorithm>/study_<k>/..., rerun k of the best point, and weak/... with the same at a tenth of its learning rate.
Each procedure prints a table and writes <procedure>.json and <procedure>.html. Formulas and sources are in
docs/target_setting.md. Exit codes: 0 done, 1 run has no targets for a workload without a finite metric, 2 wrong input,
128 + n stopped by signal n.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from algoperf import commands, frameworks
from algoperf.spec import UsageError, no_such
from campaign import flags as campaign_flags

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "sweep_dir",
    None,
    "The sweep folder, or an archive of one; run: target_setting_results/<workload>_<framework> by default.",
)
flags.DEFINE_string("output_dir", None, "Write results here; <sweep_dir>/target_setting by default.")
flags.DEFINE_list(
    "algorithms",
    [],
    "Algorithms to read; all by default. run: folders, or names of reference algorithms; adamw, nadamw, nesterov and "
    "heavy_ball by default.",
)
flags.DEFINE_list(
    "workloads", [], "Workloads to read, in this order; all by default. variants: those to test."
)
flags.DEFINE_string(
    "framework",
    None,
    f"{frameworks.choices()}, where the sweep has both. run: {frameworks.names()[0]} by default, if it is installed.",
)
flags.DEFINE_string("workload", None, "run: another name of --workloads, for one.")
flags.DEFINE_integer("trials", 20, "run: points of each algorithm, the same on every workload.")
flags.DEFINE_integer("reruns", 5, "run: runs of the best point with new seeds.")
flags.DEFINE_list(
    "set_by",
    [],
    "run: those of --algorithms whose best point is run again and sets the targets; all by default.",
)
flags.DEFINE_string(
    "rerun_point", None, "run: JSON file with a point that is run again in place of the best one of --set_by."
)
flags.DEFINE_integer(
    "weak_runs", 0, "run: runs of the best point at a tenth of its learning rate, for calibration."
)
flags.DEFINE_integer(
    "max_steps",
    None,
    "run: updates of each run and horizon of its schedule; 3/4 of the step hint by default.",
)
flags.DEFINE_string(
    "tuning_search_space",
    None,
    "run: JSON file for all algorithms, or the name of one beside each; by default tuning_search_space_broad.json "
    "there, else tuning_search_space.json.",
)
flags.DEFINE_integer("rng_seed", 0, "run: fixes points, data order, initialisation and submissions.")
flags.DEFINE_string("data_dir", None, "run: root of prepared data; $ALGOPERF_DATA_DIR, else ~/data/algoperf.")
flags.DEFINE_string("device", "auto", "run: auto, cpu or gpu.")
campaign_flags.define(needs="sweep_dir", prefix="run: ")
flags.DEFINE_integer("min_reruns", 5, "run, targets: fewest reruns that targets are set from.")
flags.DEFINE_string(
    "runtime_budget",
    "workload",
    "run, targets: workload keeps budget and step hint of the workload; measured takes 4/3 of the reruns' medians.",
)
flags.DEFINE_float("tolerance", 0.1, "variants: how much worse than its base a variant's best may be.")
flags.DEFINE_float("widen", 1.25, "narrow: factor by which ranges are widened on both sides.")
flags.DEFINE_bool("fix_beta1", False, "narrow: take 0.1 for one_minus_beta1 instead of a range.")
flags.DEFINE_float(
    "outlier_tolerance",
    0.0,
    "narrow: how much worse a point may be that stands in for an outlier; 0 keeps all.",
)
flags.DEFINE_float(
    "outlier_factor",
    10.0,
    "narrow: factor beyond the other workloads' range from which a best point is an outlier.",
)
flags.DEFINE_integer("size", 5, "optlist: entries, the number of trials of a study.")
flags.DEFINE_list("budgets", ["1", "5", "20"], "budgets: numbers of trials.")
flags.DEFINE_integer(
    "max_trials", None, "expected_best: last number of trials; as many as results by default."
)
flags.DEFINE_integer(
    "num_samples", None, "budgets: simulated tunings (10000); expected_best: bootstrap samples (1000)."
)
flags.DEFINE_integer("seed", 0, "Seed of the sampling.")

COMMON = ("sweep_dir", "output_dir", "algorithms", "workloads", "framework")
OWN_FLAGS = {
    "run": (
        *(
            "workload",
            "trials",
            "reruns",
            "weak_runs",
            "set_by",
            "rerun_point",
            "max_steps",
            "tuning_search_space",
            "rng_seed",
            "data_dir",
            "device",
        ),
        *campaign_flags.NAMES,
        *("min_reruns", "runtime_budget"),
    ),
    "targets": ("min_reruns", "runtime_budget"),
    "calibration": ("min_reruns",),
    "variants": ("tolerance",),
    "narrow": ("widen", "fix_beta1", "outlier_tolerance", "outlier_factor"),
    "optlist": ("size",),
    "budgets": ("budgets", "num_samples", "seed"),
    "degradation": (),
    "expected_best": ("max_trials", "num_samples", "seed"),
}


def main(argv: Sequence[str]) -> int:
    if not (argv[1:] or FLAGS.workload):
        raise UsageError(
            f"Give one procedure, as in set_targets.py targets --sweep_dir=<folder>; choose from "
            f"{', '.join(OWN_FLAGS)}."
        )
    procedure = argv[1] if argv[1:] else "run"
    if procedure not in OWN_FLAGS:
        raise no_such("procedure", procedure, OWN_FLAGS)
    own = OWN_FLAGS[procedure]
    for name in {flag for group in OWN_FLAGS.values() for flag in group}.difference(own):
        if FLAGS[name].present:
            raise UsageError(f"--{name} means nothing to {procedure}; it has {_listed((*COMMON, *own))}.")
    if procedure == "run":
        return _run()
    if not FLAGS.sweep_dir:
        raise UsageError("Give the sweep folder with --sweep_dir=<folder>.")

    from target_setting import command  # numpy; --help does without

    options = {name: FLAGS[name].value for name in own}
    if "budgets" in options:
        options["budgets"] = tuple(_integer(text) for text in options["budgets"])
    config = command.Config(
        procedure=procedure,
        sweep_dir=Path(FLAGS.sweep_dir).expanduser(),
        output_dir=Path(FLAGS.output_dir).expanduser() if FLAGS.output_dir else None,
        algorithms=tuple(FLAGS.algorithms),
        workloads=tuple(FLAGS.workloads),
        framework=FLAGS.framework,
        **options,
    )
    print(command.run(config).text())
    return 0


def _run() -> int:
    from target_setting import plan, run

    workloads = (*FLAGS.workloads, *([FLAGS.workload] if FLAGS.workload else []))
    framework = (frameworks.get(FLAGS.framework) if FLAGS.framework else frameworks.preferred()).name
    sweep_dir = Path(FLAGS.sweep_dir).expanduser().resolve() if FLAGS.sweep_dir else None
    if FLAGS.status and (workloads or sweep_dir):
        config = plan.saved_config(sweep_dir or plan.default_sweep_dir(workloads, framework).resolve())
    elif not workloads:
        raise UsageError("Say what to set targets for: --workload=<name>, or --workloads=<name>,<name>, ...")
    else:
        names = (
            *("trials", "reruns", "weak_runs", "rerun_point", "max_steps"),
            *("tuning_search_space", "rng_seed", "data_dir", "device"),
        )
        config = plan.SweepConfig(
            sweep_dir=sweep_dir or plan.default_sweep_dir(workloads, framework).resolve(),
            workloads=workloads,
            algorithms=tuple(FLAGS.algorithms) or plan.ALGORITHMS,
            set_by=tuple(FLAGS.set_by),
            framework=framework,
            min_reruns=FLAGS.min_reruns,
            runtime_budget=FLAGS.runtime_budget,
            **{name: FLAGS[name].value for name in names},
        )
    options = run.RunOptions(
        **campaign_flags.values(),
        output_dir=Path(FLAGS.output_dir).expanduser() if FLAGS.output_dir else None,
    )
    return run.run(config, options)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--budgets must be whole numbers of trials, got {text!r}.") from None


if __name__ == "__main__":
    commands.run(main, max_arguments=1)
