"""Run a submission on a workload.

For example:
  python submission_runner.py --workload=digits --submission=reference_algorithms/nadamw --framework=jax

Results go to <experiment_dir>/<submission>/study_<s>/<workload>_<framework>/trial_<t>; the same command again
continues a run that was interrupted. Exit codes: 0 done (target reached or not), 1 the submission failed, 2 wrong
input, 128 + n stopped by signal n with a checkpoint written.
"""

import time

START_NS = time.perf_counter_ns()  # Before anything else is imported.

import logging  # noqa: E402
import sys  # noqa: E402

from absl import app, flags  # noqa: E402

from algoperf.spec import UsageError  # noqa: E402

FLAGS = flags.FLAGS

flags.DEFINE_string("workload", None, "Name of the workload, for example digits, wmt_mini or wmt.")
flags.DEFINE_string("submission", None, "Folder or Python file of the submission.")
flags.DEFINE_string("submission_path", None, "Other name of --submission.")
flags.DEFINE_string("framework", None, "jax or pytorch; inferred where the submission offers only one.")
flags.DEFINE_string("tuning_ruleset", "external", "external (hyperparameters from a search space) or self.")
flags.DEFINE_string(
    "tuning_search_space",
    None,
    "JSON file, or the name of one beside the submission; tuning_search_space.json there by default.",
)
flags.DEFINE_integer(
    "num_tuning_trials", None, "How many trials of the study to run, each in its own process; 1."
)
flags.DEFINE_integer(
    "study", 0, "Number of the study, from 0: an independent repetition with its own points."
)
flags.DEFINE_integer("trial", None, "Run only this trial of the study, from 1.")
flags.DEFINE_integer("hparam_start_index", None, "First trial to run, from 0 (as in AlgoPerf).")
flags.DEFINE_integer(
    "hparam_end_index", None, "End of the range of trials to run, exclusive (as in AlgoPerf)."
)
flags.DEFINE_string(
    "suite",
    None,
    "Rules and targets: mini, mini_quick, algoperf_v06, algoperf_v05, qualification, or a .json file, such as "
    "targets.json of set_targets.py.",
)
flags.DEFINE_string("data_dir", None, "Root of prepared data; $ALGOPERF_DATA_DIR, else ~/data/algoperf.")
flags.DEFINE_string("experiment_dir", "experiments", "Root of the results.")
flags.DEFINE_string("experiment_name", None, "Folder below it; by default <submission>/study_<s>.")
flags.DEFINE_bool("append_timestamp", False, "Append the time to the experiment name.")
flags.DEFINE_bool("overwrite", False, "Delete earlier results of the trial and start over.")
flags.DEFINE_bool(
    "resume_last_run", True, "Accepted for compatibility: runs always continue where they stopped."
)
flags.DEFINE_bool("save_checkpoints", True, "Write a checkpoint after each evaluation and on signals.")
flags.DEFINE_bool("save_intermediate_checkpoints", False, "Keep all checkpoints, not only the newest.")
flags.DEFINE_integer(
    "rng_seed", 0, "Fixes the data order, initialisation, submission and search-space points."
)
flags.DEFINE_integer("max_global_steps", None, "Stop after this many updates.")
flags.DEFINE_alias("max_steps", "max_global_steps")
flags.DEFINE_bool("run_past_targets", False, "Reaching the targets is recorded and does not end the run.")
flags.DEFINE_integer("eval_every_steps", None, "Evaluate by step count instead of time; not for scoring.")
flags.DEFINE_bool("skip_evals", False, "Train without evaluating (for measurements).")
flags.DEFINE_bool("torch_compile", None, "Compile PyTorch models; by default on a GPU only.")
flags.DEFINE_string("device", "auto", "auto, cpu or gpu; a missing GPU is an error, not a silent fallback.")
flags.DEFINE_string(
    "coordinator", None, "JAX on several hosts: host:port of host 0, or auto (Slurm, Open MPI, TPU pods)."
)
flags.DEFINE_integer("num_hosts", None, "With --coordinator=host:port: how many hosts take part.")
flags.DEFINE_integer("host_id", None, "With --coordinator=host:port: number of this host, from 0.")
flags.DEFINE_integer("hosts_timeout_sec", 300, "How long to wait for the other hosts at the start.")
flags.DEFINE_string("reproduce", None, "Folder of a stored trial: run it again from its own record.")
flags.DEFINE_bool("quiet", False, "Print only the result.")


def main(argv: list[str]) -> int:
    """Reads the flags; below this line functions depend on their arguments only."""
    from algoperf.run import clock, runner
    from algoperf.run.training import Interrupted

    logging.getLogger("jax").setLevel(logging.WARNING)  # It reports every platform that it looked for.
    try:
        if len(argv) > 1:
            raise UsageError(
                f"Unexpected argument {argv[1]!r}: settings are given as --name=value; see --help."
            )
        own = FLAGS.flags_by_module_dict()[sys.argv[0]]
        values = {flag.name: flag.value for flag in own if flag.name != "max_steps"}
        return runner.run(values, clock.Ledger(start_ns=START_NS))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return runner.EXIT_USAGE
    except Interrupted as stop:
        print("Stopped; the same command continues from here.", file=sys.stderr)
        return runner.EXIT_SIGNAL_BASE + stop.signal_number
    except KeyboardInterrupt:
        return runner.EXIT_SIGNAL_BASE + 2


def parse_flags(argv: list[str]) -> list[str]:
    """Like absl's own parser, with errors in the form that this command's others have."""
    try:
        return FLAGS(argv)
    except flags.Error as error:
        print(f"error: {error}; see --help.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
