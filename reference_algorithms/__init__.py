"""Reference algorithms, one folder per family; common code is in `reference_algorithms.shared`."""
