"""The document of a scoring, `scores.json`: all that tables, files and `report.html` show, computed once.

`schema.json` beside this file describes it. Added to what `scoring.output` has always written there:

    content.py      all parts together, and the file
    workloads.py    targets, budgets, and what stands for each submission
    trials.py       a row per trial: how it ended, ledger, memory, versions, and where its record lies
    curves.py       evaluations of all trials, thinned where there are many
    hits.py         when each study reached whatever target: what relaxing targets in a browser needs
    axes.py         scores by updates and by examples beside those by time
    why.py          one line in words for each submission and workload
    tuning.py       chance and time over the number of trials
"""
