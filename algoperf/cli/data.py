"""Downloads (or synthesizes), prepares and verifies the data of one workload and its variants.

    {command} --dataset=wmt --data_dir=~/data/algoperf
    {command} --dataset=wmt_mini
    {command} --dataset=wmt_mini --data_seed=@seed.txt      # prints its sealed form

Run again, the command continues after an interruption; if everything is in place, it only verifies. The steps are
written in `download.py` and `data.py` of `workloads/<data set>/`.
"""

import os

from absl import flags

from algoperf import data_seed
from algoperf.cli import workload_path
from algoperf.cli.command import Command
from algoperf.data import locate, sealed
from algoperf.spec import UsageError


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    flags.DEFINE_string(
        "dataset",
        None,
        "A data set ('wmt', 'imagenet') or its mini version ('wmt_mini'); the argument says the same.",
        flag_values=into,
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        f"Root of all data; $ALGOPERF_DATA_DIR or {locate.DEFAULT_ROOT} by default.",
        flag_values=into,
    )
    flags.DEFINE_string(
        sealed.FLAG,
        None,
        "Make a mini workload's data from this seed, in a folder of their own: a number or text, @<file> with it in; "
        f"also ${data_seed.VARIABLE}.",
        flag_values=into,
    )
    flags.DEFINE_bool("progress", True, "Show progress bars.", flag_values=into)
    flags.DEFINE_bool("verify", True, "Compare checksums of all prepared files at the end.", flag_values=into)
    workload_path.define(into)


def main(given: flags.FlagValues, arguments: list[str]) -> None:
    """Reads the flags."""
    workload_path.use(given)
    names = [name for name in (given.dataset, *arguments) if name is not None]
    if len(set(names)) != 1:
        raise UsageError(
            "--dataset is missing: give --dataset=<value>, such as --dataset=wmt_mini."
            if not names
            else f"Give one data set, got {', '.join(names)}."
        )
    from algoperf.data import set_up  # numpy; --help does without

    seed = data_seed.parse(given.data_seed or os.environ.get(data_seed.VARIABLE))
    set_up.set_up(names[0], given.data_dir, given.progress, given.verify, seed)


COMMAND = Command(text=__doc__, define=define, main=main, max_arguments=1, arguments="one data set")
