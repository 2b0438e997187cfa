"""A run: from the objects of a trial and its timed loop to its checkpoints and its summary."""
