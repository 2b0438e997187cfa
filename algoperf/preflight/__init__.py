"""A few steps of a trial, off the record: what they take of memory and time, and what the whole will."""
