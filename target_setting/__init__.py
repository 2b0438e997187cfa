"""Sweeps, and from stored ones to targets, variants, search spaces and tuning studies.

The procedures are those of the AlgoPerf paper, https://arxiv.org/abs/2306.07179; `docs/target_setting.md` gives
their formulas and commands. Each is a pure function of results that lie on disk. Nothing here imports a framework, or
anything heavier than numpy and scipy (plotly only when a plot is drawn): runs are processes of `submission_runner.py`,
which the engine of `campaign/` starts.

    plan.py           points, rules and seeds of a sweep, written down; its jobs, and those of the reruns
    run.py            sweep, reruns, targets: `set_targets.py run` below its flags
    sweep.py          sweep folder -> one `SweepTrial` per finished run
    results.py        trials -> best validation metric per point and workload; what "better" means
    targets.py        best point of a sweep, targets from its reruns, probability of hitting them
    target_file.py    targets with provenance, in the form of a suite file
    calibration.py    how well the targets tell good choices from bad ones, beside the noise of reruns
    variants.py       whether a variant is distinct from its base (rank transfer) and trainable (10 % rule)
    narrow.py         broad sweep -> narrow search space
    optlist.py        round robin over the best points of each workload
    budgets.py        best of k trials: exact distribution and simulation
    expected_best.py  expected best result over the number of trials, with intervals
    degradation.py    worst-case degradation of a point over workloads
    report.py, plots.py    tables, pictures
    command.py        the procedures other than run, below their flags
"""
