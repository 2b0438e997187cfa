"""Whole campaigns: many submissions over a suite, as trials in processes of their own.

    job_plan.py  flags -> jobs: one per trial, with its point, seeds, folder and command line
    store.py     what is on disk: claims, attempts, which jobs are done
    state.py     where a job stands
    mixture.py   trials that ran under other code, or are others, and what is said of them
    frugal.py    which running trials can no longer change a score
    process.py   one attempt at one job: the child process, its log, its outcome
    launch.py    program that binds that process to its cores, and ends it with its parent
    engine.py    what all engines have in common: the loop that starts, watches and stops trials
    local.py     engine: a pool of workers on this machine
    ray_engine.py  engine: tasks of a Ray cluster
    execution.py runs jobs with the engine that is asked for
    flags.py     the flags that say how
    cores.py     cores that trials on one machine take for themselves
    status.py    tables and the live line
    benchmark.py what run_benchmark.py does, below its flags

Imports no framework: trials run in processes of `submission_runner.py`.
"""
