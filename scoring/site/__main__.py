"""Makes a static site of results: a board for each suite, ruleset and kind of machine.

    python -m scoring.site --output=site/                                # what ships: v0.5, v0.6, A100, mini
    python -m scoring.site --output=site/ ~/results contributed.tar.xz   # and one's own
    python -m scoring.site --output=site/ --shipped= ~/results           # one's own alone

Results go to the board of the suite, ruleset and machine that their records name; --suite, --ruleset and --hardware say
it for records that do not. The same command brings the site up to date: boards whose results are as before are not
scored again. Open index.html from the disk, or copy the folder to any web server; nothing on it needs a network.
"""

import sys
from collections.abc import Sequence

from absl import flags

from algoperf import commands, files
from scoring import published
from scoring.site import build
from scoring.site.fields import Told

FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> None:
    built = build.build(
        [files.expanded(path) for path in argv[1:]],
        files.expanded(FLAGS.output),
        leaderboards=[name for name in FLAGS.shipped if name],
        told=Told(suite=FLAGS.suite, ruleset=FLAGS.ruleset, hardware=FLAGS.hardware),
        bootstrap_samples=FLAGS.bootstrap_samples,
        say=lambda line: print(line, flush=True),
    )
    print(built.text())


if __name__ == "__main__":
    flags.DEFINE_string("output", "site", "Folder of the site: new, empty, or of an earlier build.")
    flags.DEFINE_list(
        "shipped", list(published.VERSIONS), "Published leaderboards that stand on it; empty for none."
    )
    flags.DEFINE_string("suite", None, "Of results whose records name none.")
    flags.DEFINE_string("ruleset", None, "Of results whose records name none: external or self.")
    flags.DEFINE_string(
        "hardware", None, "Of results whose records name none, as in '8 x NVIDIA V100 16 GB'."
    )
    flags.DEFINE_integer("bootstrap_samples", 1000, "Draws behind the intervals.")
    commands.run(main, max_arguments=sys.maxsize, arguments="folders and archives of results")
