"""Sweeps, and from stored ones to targets, variants, search spaces and tuning studies.

The procedures are those of the AlgoPerf paper, https://arxiv.org/abs/2306.07179; `docs/target_setting.md` gives
their formulas and commands. Each is a pure function of results that lie on disk, in one
file that is found by its name. Nothing here imports a framework, or
anything heavier than numpy and scipy (plotly only when a plot is drawn): runs are processes of `submission_runner.py`,
which the engine of `campaign/` starts.

    procedures/         one file each: its flags, computation, table, JSON, pictures; its __init__ says what it declares
    discovery.py        finds them, and reads their flags without importing them
    procedure_flags.py  flags of `set_targets.py`: the common ones, and those that the procedures declare
    analysis.py         one procedure on a stored sweep, below the flags
    selection.py        what a procedure works on: a sweep, and the part of it that is asked for
    outcome.py          what it finds, and how that is written
    tables.py, plots.py cells and pictures that procedures share
    sweep.py            sweep folder -> one `SweepTrial` per finished run
    sweep_tables.py     trials -> best validation metric per point and workload; what "better" means
    target_rules.py     best point of a sweep, targets from its reruns, probability of hitting them
    best_of_k.py        exact distribution of the best of k trials
    sweep_jobs.py       for `run`: points, rules and seeds of a sweep, written down; its jobs, and those of the reruns
"""
