"""Parses raw text files into flat arrays (.npy, memory-mapped by training): once, one thread per file, resumable.

In the data folder: an array per raw file (see `raw_tables`) with all molecules in the order of the release, and
`manifest.json`, written last. `records/<array>.json` describes the source of a finished array, so that only what is
missing is made.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data import manifest
from algoperf.data.bad_files import Search
from algoperf.machine import num_cores
from algoperf.spec import UsageError
from workloads.ogbg import raw_tables
from workloads.ogbg.raw_tables import Table

FORMAT = 1  # Raise when prepared files change: older ones are then prepared again.
SPLITS = ("train", "validation", "test")


def array_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def load(folder: Path, name: str) -> np.ndarray:
    """An array of the data folder, memory-mapped and read-only."""
    return np.asarray(np.load(array_path(folder, name), mmap_mode="r"))


def prepare(folder: Path, config: dict[str, Any], progress: bool = True) -> None:
    """Parses all files, checks that they fit together, then writes the manifest.

    Continues where an earlier call stopped, by whole files.

    Args:
      folder: has the raw files in `folder/raw/pcba`; the results go here.
      config: 'num_tasks', 'splits' (name -> number of molecules), and all else that the prepared files depend on.
      progress: whether to show a progress bar.

    Raises:
      UsageError: if raw files are missing, damaged or inconsistent with each other; names file and line.
    """
    if manifest.is_complete(folder, config, FORMAT):
        return
    all_tables = raw_tables.tables(config["num_tasks"])
    missing = [str(table.path(folder)) for table in all_tables if not table.path(folder).is_file()]
    if missing:
        raise UsageError(f"There is no {', '.join(missing)}.")
    # Removed before arrays change: without a manifest an interrupted folder cannot pass for a complete one.
    (folder / manifest.NAME).unlink(missing_ok=True)
    (folder / "records").mkdir(parents=True, exist_ok=True)
    todo = [table for table in all_tables if not _is_made(folder, table)]
    total = sum(table.path(folder).stat().st_size for table in todo)
    bar = tqdm(total=total, desc="parse", unit="B", unit_scale=True, disable=not progress)
    with bar, ThreadPoolExecutor(min(num_cores(), len(all_tables))) as pool:
        futures = [pool.submit(_make, folder, table, bar) for table in todo]
        search = Search()
        for future in futures:
            with search.going_on():
                future.result()
        search.end()
    check(folder, config["splits"], all_tables)
    records = {table.name: files.read_json(_record_path(folder, table)) for table in all_tables}
    of_files = {
        array_path(folder, name).name: {key: record[key] for key in ("bytes", "sha256")}
        for name, record in records.items()
    }
    rows = {name: record["rows"] for name, record in records.items()}
    manifest.write(folder, FORMAT, config, rows=rows, files=of_files)


def _record_path(folder: Path, table: Table) -> Path:
    return folder / "records" / f"{table.name}.json"


def _made_of(folder: Path, table: Table) -> dict[str, Any]:
    """Everything that an array depends on; the file's time changes when it is fetched again."""
    status = table.path(folder).stat()
    return {
        "format": FORMAT,
        "columns": table.num_columns,
        "source": [table.file, status.st_size, status.st_mtime_ns],
    }


def _is_made(folder: Path, table: Table) -> bool:
    record = files.read_json_or_none(_record_path(folder, table))
    return (
        record is not None
        and record["made_of"] == _made_of(folder, table)
        and record["bytes"] == manifest.size_of(array_path(folder, table.name))
    )


def _make(folder: Path, table: Table, bar: tqdm) -> None:
    """Writes the array of one file and then its record."""
    made_of = _made_of(folder, table)
    values = raw_tables.read(table, table.path(folder), bar.update)
    path = array_path(folder, table.name)
    with files.writing(path) as file:
        np.save(file, values)
    record = {"made_of": made_of, "rows": len(values), **manifest.entry(path)}
    files.write_json(_record_path(folder, table), record)


def write_part(folder: Path, target: Path, members: np.ndarray) -> None:
    """Writes the arrays of some molecules to `target`, under their numbers; the others have no atoms, bonds and labels.

    Args:
      folder: with all molecules.
      target: gets the arrays and the split 'train'.
      members: numbers of the molecules.
    """
    counts = {name: load(folder, name) for name in ("node_counts", "bond_counts")}
    is_member = np.zeros(len(counts["node_counts"]), bool)
    is_member[members] = True
    parts = {name: np.where(is_member, array, 0).astype(array.dtype) for name, array in counts.items()}
    for name, count in (("nodes", "node_counts"), ("bonds", "bond_counts"), ("bond_ends", "bond_counts")):
        parts[name] = load(folder, name)[np.repeat(is_member, counts[count])]
    labels = np.array(load(folder, "labels"))
    labels[~is_member] = -1  # Missing.
    for name, array in {**parts, "labels": labels, "train": load(folder, "train")}.items():
        np.save(array_path(target, name), array)


# ---- consistency of the files ------------------------------------------------------------------------------------


def check(folder: Path, splits: dict[str, int], all_tables: tuple[Table, ...]) -> None:
    """Raises UsageError if raw files are inconsistent with each other; the message names file and line."""
    arrays = {table.name: load(folder, table.name) for table in all_tables}
    paths = {table.name: table.path(folder) for table in all_tables}
    num_graphs = len(arrays["node_counts"])
    for name in ("bond_counts", "labels"):
        if len(arrays[name]) != num_graphs:
            raise UsageError(
                f"{paths[name]} has {len(arrays[name]):,} lines, but {paths['node_counts']} has {num_graphs:,}: "
                "one per molecule. Fetch the shorter one again."
            )
    for name, counts in (("nodes", "node_counts"), ("bonds", "bond_counts"), ("bond_ends", "bond_counts")):
        wanted = int(arrays[counts].sum(dtype=np.int64))
        if len(arrays[name]) != wanted:
            raise UsageError(
                f"{paths[name]} has {len(arrays[name]):,} lines, but the counts in {paths[counts]} add up to "
                f"{wanted:,}. Fetch both again."
            )
    _check_bonds(arrays, paths["bond_ends"])
    owner = np.full(num_graphs, -1, np.int8)
    for number, split in enumerate(SPLITS):
        _check_split(arrays[split], paths[split], number, owner, splits[split])


def _check_bonds(arrays: dict[str, np.ndarray], path: Path) -> None:
    # Number of atoms in the molecule of each bond.
    num_atoms = np.repeat(arrays["node_counts"], arrays["bond_counts"])
    wrong = np.flatnonzero((arrays["bond_ends"] >= num_atoms[:, None]).any(axis=1))
    if len(wrong):
        bond = int(wrong[0])
        graph = int(np.searchsorted(np.cumsum(arrays["bond_counts"], dtype=np.int64), bond, side="right"))
        atom = int(arrays["bond_ends"][bond].max())
        raise UsageError(
            f"{path}, line {bond + 1:,}: a bond of molecule {graph:,} ends at atom {atom}, but the molecule has "
            f"{arrays['node_counts'][graph]} atoms, numbered from 0. Fetch it again."
        )


def _check_split(members: np.ndarray, path: Path, number: int, owner: np.ndarray, num_wanted: int) -> None:
    """Checks a split and writes its number into `owner` for its members; -1 there means no split so far."""
    outside = np.flatnonzero(members >= len(owner))
    if len(outside):
        raise UsageError(
            f"{path}, line {outside[0] + 1:,}: there is no molecule {members[outside[0]]:,}; "
            f"they are numbered from 0 to {len(owner) - 1:,}. Fetch it again."
        )
    taken = np.flatnonzero(owner[members] >= 0)
    if len(taken):
        line = int(taken[0])
        other = SPLITS[owner[members[line]]]
        raise UsageError(
            f"{path}, line {line + 1:,}: molecule {members[line]:,} is in the {other} split already. Fetch it again."
        )
    _, first_lines = np.unique(members, return_index=True)
    if len(first_lines) != len(members):
        line = int(np.setdiff1d(np.arange(len(members)), first_lines)[0])
        raise UsageError(
            f"{path}, line {line + 1:,}: molecule {members[line]:,} stands there twice. Fetch it again."
        )
    if len(members) != num_wanted:
        raise UsageError(f"{path} has {len(members):,} lines; {num_wanted:,} are expected. Fetch it again.")
    owner[members] = number
