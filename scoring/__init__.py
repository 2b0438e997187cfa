"""From results on disk to times, ratios, performance profiles, scores and reports.

One pure function per rule; the rules themselves are in `RULES.md` and `scoring/README.md`. Nothing here
imports a framework, and nothing heavier than numpy.

    reading.py      results folder -> one `Trial` per run, and findings about everything that was odd
    evaluations.py  a trial's evaluations -> the columns that scoring needs, and the first hit of the target
    results.py      what is known about results: `Trial`, `Finding`, `Miss`
    picture.py      the performance profile as SVG
    facts.py        what a trial's records say about how it was run
    accounts.py     rows and summary beside the parent's times, the heartbeat and the checkpoint
    contradictions.py   where a summary says something else than the evaluations
    plausible.py, reference_examples.py     what people should look at; how many examples reference algorithms need
    sources.py      several folders and archives as one field; which submissions of it and of published ones count
    comparison.py, comparison_report.py    what a field has in common, and the block of the report about it
    mixtures.py     what the rules do not allow to differ, and what is no independent trial
    refereed.py, seals.py   which trials were refereed, what was noticed, whether their seals are the published ones
    revealed.py     of which trials a published seed is that of the data
    validation.py, validate.py, next_steps.py   faults of a contributed folder, and what to do about each; the command
    recorded.py     what records say of suite, ruleset, machine, date, without the evaluations
    completeness.py which studies and trials of the ruleset are missing or too many
    procedure.py    the clean rules, the official AlgoPerf procedure, and the named quirks between the two
    endings.py      how runs ended: which broke off, why a study has no time
    times.py        trials -> study times -> workload times, each infinite one with its reason
    rules.py        workload times -> held-out and r_max rules -> performance ratios
    profiles.py     ratios -> performance profiles and benchmark scores
    speedup.py      geometric-mean speedup over a reference
    uncertainty.py  what a few studies say about infinitely many: a model that pools over the field, and draws from it
    intervals.py    draws -> intervals of scores, ranks and speedups, and who is told apart
    absolute.py     restricted speedup over a pinned reference, data profiles
    curves.py       stored evaluations, and hits at other targets
    relaxing.py     the whole field at other targets
    sensitivity.py  scores without each entry or workload, with other r_max and targets
    short_names.py  a field of published entries without their leaderboard's name before each
    published.py    results that ship with the package
    archive.py      the results of a folder in one file
    carry_over.py   times of one machine carried over to another
    leaderboard.py  all of the above for one field of submissions
    bounds.py       what results that were not run could still change
    provisional.py  words for results that are not all there
    step_times.py   seconds per update of each entry beside those in its framework
    explained.py    updates, speed, compilation and evaluation behind a time
    target_origin.py    verdicts that hang on how a target was set
    differences.py  what the clean rules change against the official procedure
    score_report.py, report_parts.py, misses_report.py, text.py    the report in the terminal
    output.py, json_parts.py, plot.py    files, picture
    document/       scores.json: all that is shown, computed once
    page/           report.html: the document in a browser
    markup.py       text to HTML
    site/           a static site of many boards: views of their documents
    one_workload.py a few submissions on one workload, in a few lines
    verdicts.py     better, worse or cannot tell, and how many more studies would
    agreement.py    how well a subset of workloads ranks submissions as the whole suite does
    out_of_sample.py, kendall.py    what is left of that on studies that did not choose the subset
    other_axis.py   ranks by updates beside those by time, in reports of mini suites
    separation.py   how well a workload separates submissions: differences against variation between studies
    tuning.py       tuning as a quantity: its command and files; tuning_report.py: its text
    tuning_runs.py, tuning_curves.py, tuning_points.py, tuning_analysis.py   what became of each point; what n trials
                    achieve, with intervals; the shared point, hyperparameters; all of it for one submission
    field_config.py, field_reading.py   what one scoring is asked for; the results that it compares
    score_field.py  `score_submissions.py` below its flags
"""
