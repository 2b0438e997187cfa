"""The page for the people who decide: source with findings in place, runs, records (`check_submission.py --bundle`)."""
