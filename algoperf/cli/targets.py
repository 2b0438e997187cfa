"""Target setting: runs sweeps; targets, variant tests, search spaces, OptLists and tuning budgets from stored ones.

    {command} --workload=digits --trials=20 --reruns=5
    {command} run --workloads=wmt_mini,ogbg_mini --algorithms=nadamw,adamw --sweep_dir=~/sweep --plan
    {command} targets --sweep_dir=~/sweep
    {command} variants --sweep_dir=~/sweep --algorithms=nadamw
    {command} expected_best --sweep_dir=~/sweep --workloads=wmt_mini,ogbg_mini --output_dir=/tmp/out

{procedures}

The sweep folder holds <algorithm>/study_0/<workload>_<framework>/trial_<t>/, point t of the sweep,
reruns/<algorithm>/study_<k>/..., rerun k of the best point, and weak/... with the same at a tenth of its learning rate.
Each procedure prints a table and writes <procedure>.json and <procedure>.html. Formulas and sources are in
docs/target_setting.md. Exit codes: 0 done, 1 run has no targets for a workload without a finite metric, 2 wrong input,
74 the disk is full or broken, 128 + n stopped by signal n.
"""

from absl import flags

from algoperf import commands, files
from algoperf.cli import workload_path
from algoperf.cli.command import Command
from algoperf.spec import UsageError, no_such
from campaign import flags as campaign_flags
from target_setting import discovery, procedure_flags


def define(into: flags.FlagValues) -> None:
    """Its flags: those of all procedures."""
    procedure_flags.define(discovery.discover(), into)
    workload_path.define(into)


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags."""
    workload_path.use(given)
    found = discovery.discover()
    if not (arguments or given.workload):
        raise UsageError(
            f"Give one procedure, as in set_targets.py targets --sweep_dir=<folder>; choose from "
            f"{', '.join(found)}."
        )
    name = arguments[0] if arguments else "run"
    if name not in found:
        raise no_such("procedure", name, found)
    procedure = found[name]
    procedure_flags.refuse_others(procedure, found, given)
    common, own = procedure_flags.common(given), procedure_flags.values(procedure.flags, given)
    if procedure.starts_trials:
        module, how = procedure.module(), campaign_flags.values(given)
        return module.start(common, module.Options(**own), how)
    if not common.sweep_dir:
        raise UsageError("Give the sweep folder with --sweep_dir=<folder>.")

    from target_setting import analysis  # numpy; --help does without

    config = analysis.Config(
        procedure=name,
        sweep_dir=files.expanded(common.sweep_dir),
        output_dir=common.output_path,
        algorithms=common.algorithms,
        workloads=common.workloads,
        framework=common.framework,
        **own,
    )
    print(analysis.run(config).text())
    return 0


_found = commands.before_flags(discovery.discover)

COMMAND = Command(
    text=__doc__.replace("{procedures}", procedure_flags.list_of(_found)),
    define=define,
    main=main,
    max_arguments=1,
    lasts=True,  # Trials go on when whoever reads the output has gone.
    arguments="one procedure, as in targets --sweep_dir=<folder>",
)
