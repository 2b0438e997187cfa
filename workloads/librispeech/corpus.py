"""The raw files: LibriSpeech's tree of FLAC files and transcripts, and its subsets.

`LibriSpeech/<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<nnnn>.flac`, 16 kHz, mono, 16 bit, and in the same
folder `<speaker>-<chapter>.trans.txt` with lines `<utterance id> <TEXT>`.
"""

import dataclasses
import os
from pathlib import Path

from algoperf.data.bad_files import Search
from algoperf.spec import UsageError

SAMPLE_RATE = 16_000
ROOT = "LibriSpeech"
# AlgoPerf leaves out `test-other`; its test target refers to `test-clean` alone.
SUBSETS = {
    "train-clean-100": "train",
    "train-clean-360": "train",
    "train-other-500": "train",
    "dev-clean": "validation",
    "dev-other": "validation",
    "test-clean": "test",
}
"""Subset -> split; the examples of a split come in this order."""

SPLITS = ("train", "validation", "test")
# As in AlgoPerf, whose SentencePiece model is trained on this subset only.
TOKENIZER_SUBSET = "train-clean-100"
"""The subset whose transcripts train the tokenizer."""

OFFICIAL_COUNTS = {
    "train-clean-100": 28_539,
    "train-clean-360": 104_014,
    "train-other-500": 148_688,
    "dev-clean": 2_703,
    "dev-other": 2_864,
    "test-clean": 2_620,
}
"""Utterances in each published subset, before any filter."""


@dataclasses.dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and its transcript."""

    name: str
    """'<speaker>-<chapter>-<nnnn>'."""
    text: str
    path: str
    """Path of the FLAC file."""
    num_bytes: int
    """Size of the FLAC file."""


def subset_folder(raw: Path, subset: str) -> Path:
    return raw / ROOT / subset


def read_subset(raw: Path, subset: str, expected: int | None = None) -> list[Utterance]:
    """All utterances of a subset, sorted by name.

    Args:
      raw: the folder that contains `LibriSpeech`.
      subset: one of `SUBSETS`.
      expected: the number that there must be; None for any number.

    Raises:
      UsageError: if a recording or transcript is missing, a name occurs twice, or the number differs; names all
        chapters of which that holds.
    """
    folder, search = subset_folder(raw, subset), Search()
    utterances: list[Utterance] = []
    if folder.is_dir():
        for speaker in _entries(folder):
            if speaker.is_dir():
                for chapter in _entries(speaker.path):
                    if chapter.is_dir():
                        with search.going_on():
                            utterances += read_chapter(Path(chapter.path))
    search.end()
    if not utterances:
        raise UsageError(f"No utterances of {subset!r}: {folder} is missing or has no FLAC files.")
    if expected is not None and len(utterances) != expected:
        raise UsageError(
            f"{folder} has {len(utterances):,} utterances; {subset!r} has {expected:,}. Unpack its archive again."
        )
    # By name, because `scandir` lists files in the order of the file system, which differs between machines.
    return sorted(utterances, key=lambda utterance: utterance.name)


def _entries(folder: str | Path) -> list[os.DirEntry]:
    # `scandir` gives the types of entries with their names, which saves a call for each of 280,000 files.
    with os.scandir(folder) as entries:
        return list(entries)


def read_chapter(folder: Path) -> list[Utterance]:
    """The utterances of one chapter; see `read_subset`."""
    transcripts: dict[str, str] = {}
    recordings: dict[str, os.DirEntry] = {}
    for entry in _entries(folder):
        if entry.name.endswith(".trans.txt"):
            for name, text in _read_transcripts(Path(entry.path)).items():
                if name in transcripts:
                    raise UsageError(f"{entry.path} has a second transcript of {name}.")
                transcripts[name] = text
        elif entry.name.endswith(".flac"):
            recordings[entry.name.removesuffix(".flac")] = entry
    if silent := sorted(transcripts.keys() - recordings.keys()):
        raise UsageError(
            f"{folder} lacks {silent[0]}.flac{_and_others(silent)}, of which there is a transcript. "
            "Unpack the subset's archive again."
        )
    if unknown := sorted(recordings.keys() - transcripts.keys()):
        raise UsageError(
            f"{folder} has no transcript of {unknown[0]}.flac{_and_others(unknown)} in its *.trans.txt. "
            "Unpack the subset's archive again."
        )
    return [
        Utterance(name, transcripts[name], entry.path, entry.stat().st_size)
        for name, entry in recordings.items()
    ]


def _and_others(names: list[str]) -> str:
    return f" and {len(names) - 1:,} others" if len(names) > 1 else ""


def _read_transcripts(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text (byte {error.start + 1}). Unpack the subset's archive again."
        ) from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, _, text = line.partition(" ")
        if not text.strip():
            raise UsageError(f"{path}, line {number}: {line!r} is not '<utterance id> <text>'.")
        if name in found:
            raise UsageError(f"{path}, line {number}: a second transcript of {name}.")
        found[name] = text.strip()
    return found
