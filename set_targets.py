r"""Target setting: runs sweeps; targets, variant tests, search spaces, OptLists and tuning budgets from stored ones.

    python set_targets.py --workload=digits --trials=20 --reruns=5
    python set_targets.py run --workloads=wmt_mini,ogbg_mini --algorithms=nadamw,adamw --sweep_dir=~/sweep --plan
    python set_targets.py targets --sweep_dir=~/sweep
    python set_targets.py variants --sweep_dir=~/sweep --algorithms=nadamw
    python set_targets.py expected_best --sweep_dir=~/sweep --workloads=wmt_mini,ogbg_mini --output_dir=/tmp/out

{procedures}

The sweep folder holds <algorithm>/study_0/<workload>_<framework>/trial_<t>/, point t of the sweep,
reruns/<algorithm>/study_<k>/..., rerun k of the best point, and weak/... with the same at a tenth of its learning rate.
Each procedure prints a table and writes <procedure>.json and <procedure>.html. Formulas and sources are in
docs/target_setting.md. Exit codes: 0 done, 1 run has no targets for a workload without a finite metric, 2 wrong input,
74 the disk is full or broken, 128 + n stopped by signal n.
"""

from collections.abc import Sequence

from absl import flags

from algoperf import commands, files
from algoperf.spec import UsageError, no_such
from campaign import flags as campaign_flags
from target_setting import discovery, procedure_flags

FLAGS = flags.FLAGS
PROCEDURES = commands.before_flags(discovery.discover)
commands.before_flags(lambda: procedure_flags.define(PROCEDURES))
__doc__ = __doc__.replace("{procedures}", procedure_flags.list_of(PROCEDURES))


def main(argv: Sequence[str]) -> int:
    if not (argv[1:] or FLAGS.workload):
        raise UsageError(
            f"Give one procedure, as in set_targets.py targets --sweep_dir=<folder>; choose from "
            f"{', '.join(PROCEDURES)}."
        )
    name = argv[1] if argv[1:] else "run"
    if name not in PROCEDURES:
        raise no_such("procedure", name, PROCEDURES)
    procedure = PROCEDURES[name]
    procedure_flags.refuse_others(procedure, PROCEDURES)
    common, own = procedure_flags.common(), procedure_flags.values(procedure.flags)
    if procedure.starts_trials:
        module, how = procedure.module(), campaign_flags.values()
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


if __name__ == "__main__":
    # Trials go on when whoever reads the output has gone.
    commands.run(
        main,
        max_arguments=1,
        ends_with_its_reader=False,
        arguments="one procedure, as in set_targets.py targets --sweep_dir=<folder>",
    )
