"""Run a submission on a workload.

For example:
  {command} --workload=digits --submission=nadamw --framework=jax
  {command} --workload=digits --submission=torch.optim.AdamW --set lr=1e-3

Results go to <experiment_dir>/<submission>/study_<s>/<workload>_<framework>/trial_<t>; the same command again
continues a run that was interrupted. Exit codes: 0 done (target reached or not), 1 the submission failed, 2 wrong
input or a trial that another process runs, 74 the disk is full or broken (mend it: the same command continues), 128 + n
stopped by signal n with a checkpoint written.
"""

from typing import Any

from absl import flags

from algoperf import settings_flags
from algoperf.adapter import flags as adapter
from algoperf.cli import START_NS
from algoperf.cli.command import JSON, Command, define_json, result_stream
from algoperf.cli.groups import OF_RUNS
from algoperf.preflight import debug_flags
from algoperf.preflight import flags as preflight_flags


def define(into: flags.FlagValues) -> None:
    """Its flags: the settings of a run."""
    settings_flags.define(into=into)
    adapter.define(into=into)
    preflight_flags.define(into)
    debug_flags.define(into)
    define_json(into)


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags; below this line functions depend on their arguments only."""
    from algoperf.data import sealed  # --help does without.
    from algoperf.referee import start
    from algoperf.run import clock, results, study

    del arguments
    wanted = settings_flags.read(values=given)
    is_debug = debug_flags.wanted(given)
    plans: list[Any] = []
    with result_stream(bool(given[JSON].value)) as write:
        settled = sealed.settled(wanted, filter(None, [wanted.workload]))
        sealed.start_again(settled)
        if adapter.ejected(settled, given):
            return 0
        if settled.given_submission is not None and settled.reproduce is None:
            study.workload_of(
                settled
            )  # Wrong names are told before an optimizer is tried: that imports a framework.
        adapted = adapter.settled(settled, given)
        if preflight_flags.wanted(given):
            from algoperf.preflight import start as preflight

            return preflight.run(adapted, preflight_flags.memory_bytes(given))
        if is_debug:
            from algoperf.preflight import debug

            return debug.run(adapted, debug_flags.batch_size(given))
        code = start.run(adapted, clock.Ledger(start_ns=START_NS), plans.append)
        if given[JSON].value:
            write({"exit_code": code, "trials": [one for plan in plans for one in results.of_plan(plan)]})
    return code


COMMAND = Command(text=__doc__, define=define, main=main, lasts=True, groups=OF_RUNS)
