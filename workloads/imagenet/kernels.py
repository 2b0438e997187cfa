"""Compiled loops of the image pipelines."""

from algoperf.data.machine_code import compiled

kernel = compiled()
"""Decorates a function that is compiled when it is first called."""
