"""The command `algoperf`: one module per subcommand, with its flags and what it hands them to."""

import time

START_NS = time.perf_counter_ns()
"""When this process began, as nearly as a module can tell: the time of a run counts from here."""
