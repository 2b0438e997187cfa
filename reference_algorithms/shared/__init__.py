"""Common code of the reference algorithms: batch sizes, schedules, and the training step of each framework."""
