"""What all reference algorithms share: batch sizes, schedules, and the training step of each framework."""
