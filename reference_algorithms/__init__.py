"""Reference algorithms: one folder per family; what they share is in `reference_algorithms.shared`."""
