"""How many examples reference algorithms need to the target of each mini workload, from their archived runs.

python -m scoring.reference_examples > scoring/data/reference_examples.csv
"""

import collections
import csv
import math
import statistics
import sys

from algoperf.run import summary as summaries
from scoring import archive
from scoring.plausible import REFERENCES

ARCHIVES = ("mini_external.tar.xz", "mini_self.tar.xz")
COLUMNS = ("workload", "submission", "ruleset", "num_studies", "examples")


def measured() -> list[tuple[str, str, str, int, int]]:
    """Rows of the table: the median over studies, of each the fastest trial."""
    fewest: dict[tuple[str, str, str], dict[int, float]] = collections.defaultdict(dict)
    for name in ARCHIVES:
        with archive.unpacked(REFERENCES.parent / name) as root:
            for path in root.glob("*/study_*/*/trial_*/summary.json"):
                summary = summaries.read(path.parent)
                assert summary is not None
                reached, size = summary.validation_target_reached, summary.global_batch_size
                examples = math.inf if reached is None or not size else reached["global_step"] * size
                studies = fewest[str(summary.workload), path.parts[-5], str(summary.ruleset)]
                study = int(path.parts[-4].removeprefix("study_"))
                studies[study] = min(examples, studies.get(study, math.inf))
    medians = (
        (key, statistics.median_high(studies.values()), len(studies)) for key, studies in fewest.items()
    )
    return sorted((*key, count, round(median)) for key, median, count in medians if math.isfinite(median))


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(measured())
