"""Synthesizes the mini workload's documents, in Parquet files of the layout of the real data."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from algoperf.data.prepared import is_synthesized, mark_synthesized, named_instance
from workloads.finewebedu_lm import documents, language

# Fixed: another seed would change the text that the mini targets were measured on.
SEED = 2026
NUM_FILES = 4
BYTES_PER_TOKEN = 3.4
"""That are written for each token that is wanted; a token takes about 3."""


def describe(num_sequences: Mapping[str, int], seq_len: int, instance: str = "") -> dict[str, Any]:
    """Everything that the synthesized text depends on; `instance` as in `WorkloadSpec.data_instance`."""
    own = {"version": language.VERSION, "seed": SEED, "seq_len": seq_len}
    return {**own, **num_sequences, **named_instance(instance)}


def make_documents(
    num_sequences: Mapping[str, int], seq_len: int, progress: bool = False, seed: int = SEED
) -> list[str]:
    """As many documents as give every split its sequences; see `documents.split_of`."""
    writer = language.Writer(SEED, None if seed == SEED else seed)
    found: list[str] = []
    missing = {split: size * (seq_len + 1) * BYTES_PER_TOKEN for split, size in num_sequences.items()}
    with tqdm(total=int(sum(missing.values())), desc="synthesize", unit="B", disable=not progress) as bar:
        while any(size > 0 for size in missing.values()):
            document = writer.document()
            content = document.encode()
            split = documents.split_of(content)
            bar.update(max(int(min(missing[split], len(content))), 0))
            missing[split] -= len(content)
            found.append(document)
    return found


def synthesize(
    folder: Path,
    num_sequences: Mapping[str, int],
    seq_len: int,
    progress: bool = True,
    seed: int = SEED,
    instance: str = "",
) -> None:
    """Writes `folder/raw` in the layout of the real data, unless the same text is there already."""
    raw = folder / "raw"
    description = describe(num_sequences, seq_len, instance)
    if is_synthesized(raw, description):
        return
    shutil.rmtree(raw, ignore_errors=True)
    found = make_documents(num_sequences, seq_len, progress, seed)
    per_file = -(-len(found) // NUM_FILES)
    for number in range(NUM_FILES):
        part = found[number * per_file : (number + 1) * per_file]
        documents.write(raw / documents.PLACE / f"{number:03d}_00000.parquet", part)
    mark_synthesized(raw, description, checksum(found))


def checksum(found: list[str]) -> str:
    """SHA-256 over all documents in order."""
    digest = hashlib.sha256()
    for document in found:
        digest.update(document.encode() + b"\0")
    return digest.hexdigest()
