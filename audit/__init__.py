"""Reads the source of a submission, without running it, and says what RULES.md thinks of it: `check_submission.py`."""
