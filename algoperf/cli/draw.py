"""Draws the held-out variants of a suite: one out of each pool, by a seed; the result is a suite file.

    {command} --suite=algoperf_v05 --seed=3438810845          # writes algoperf_v05_held_out.json
    {command} --suite=mini --commit --output=sealed.json      # prints a hash to publish
    {command} --reveal=sealed.json --hash=<published hash>    # when submissions are frozen

The path of the file stands wherever the name of a suite does. With --commit the draw is not shown, and the file stays
secret until --reveal; the hash is that which sha256sum prints. RULES.md, section 9, says when who does what. Exit
codes: 0 done, 1 the file is not what was announced, 2 wrong input.
"""

from pathlib import Path

from absl import flags

from algoperf import commands, files
from algoperf.cli.command import Command
from algoperf.spec import UsageError


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    flags.DEFINE_string(
        "suite",
        None,
        "Whose pools: algoperf_a100, algoperf_v05, algoperf_v06, qualification, mini, or a .json file.",
        flag_values=into,
    )
    flags.DEFINE_integer(
        "seed", None, "Of the draw; a random one by default, which is printed.", flag_values=into
    )
    flags.DEFINE_string(
        "output", None, "Suite file to write; <suite>_held_out.json by default.", flag_values=into
    )
    flags.DEFINE_bool(
        "commit",
        False,
        "Seal the draw: print the hash of the file, and not what was drawn.",
        flag_values=into,
    )
    flags.DEFINE_string("reveal", None, "Sealed file to compare with --hash.", flag_values=into)
    flags.DEFINE_string(
        "hash", None, "The hash that was published for the file in --reveal.", flag_values=into
    )


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags."""
    del arguments
    from algoperf import held_out, suites  # numpy; --help does without

    if given.reveal is not None:
        others = [f"--{name}" for name in ("suite", "seed", "output", "commit") if given[name].present]
        if others:
            raise UsageError(f"--reveal checks a file that is there: leave out {', '.join(others)}.")
        if given.hash is None:
            raise UsageError("--reveal needs the hash that was published: --hash=<64 hexadecimal digits>.")
        path = files.expanded(given.reveal)
        found = held_out.reveal(path, given.hash)
        for problem in found.problems:
            commands.print_error(f"{path} is not the draw that was announced: {problem}.")
        if found.problems:
            return commands.EXIT_FAILED
        print(f"{path} is the draw that was announced: suite {found.source.draw}, seed {found.source.seed}.")
        print("\n".join(found.held_out))
        return 0
    if given.hash is not None:
        raise UsageError("--hash belongs to --reveal=<file>; with --commit the hash is printed.")
    if given.suite is None:
        raise UsageError("Name a suite with --suite, as in draw_held_out.py --suite=algoperf_v05 --seed=1.")
    suite, seed = suites.load(given.suite), held_out.check_seed(given.seed)
    path = files.expanded(given.output or f"{Path(suite.name).stem}_held_out.json")
    held, digest = held_out.write(path, suite, seed, sealed=given.commit)
    if given.commit:
        print(f"Publish this hash: {digest}")
        print(f"Keep {path} secret until submissions are frozen, then publish it; --reveal checks it.")
    else:
        print("\n".join(held))
        print(f"Drawn from the pools of {suite.name} with seed {seed}; written to {path}.")
    return 0


COMMAND = Command(text=__doc__, define=define, main=main)
