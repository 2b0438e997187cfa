"""A refereed trial: clock, evaluation, records and decisions are in processes that the submission is not in."""
