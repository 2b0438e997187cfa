"""Builds the site: scores the fields whose inputs have changed, writes all pages, takes away those of former builds."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import files
from algoperf.spec import UsageError
from scoring import archive, output, published, reading, score_field, sources
from scoring.site import board_page, entry_page, fields, index_page, inputs, method_page, workload_page
from scoring.site.boards import INDEX, METHOD, Board, Pages, ordered, slug
from scoring.site.fields import NOTHING_TOLD, Field, Told

MANIFEST = "site.json"
"""What the last build has written, so that the next one knows what it may take away."""
STATE = "board.json"
"""Beside the files of a board: what they were made of."""
BOARDS = "boards"
DOWNLOADS = (
    output.SCORES,
    output.TIMES,
    output.STEP_TIMES,
    output.SCORES_JSON,
    output.TIMES_JSON,
    output.PICTURE,
)
"""Files of a scoring that are linked, where they are there; archives of results come after them."""


@dataclass(frozen=True)
class Built:
    """What a build has done."""

    output: Path
    boards: tuple[Board, ...]
    scored: tuple[str, ...]
    """Folders of the boards that were scored; the others were as before."""
    num_pages: int
    removed: tuple[str, ...]

    def text(self) -> str:
        """For the terminal."""
        unchanged = len(self.boards) - len(self.scored)
        parts = [f"{len(self.scored)} boards scored" if len(self.scored) != 1 else "1 board scored"]
        parts += [f"{unchanged} unchanged"] if unchanged else []
        parts += [f"{len(self.removed)} files of former pages removed"] if self.removed else []
        return f"{self.output / INDEX}: {self.num_pages} pages, {', '.join(parts)}."


def build(
    results: Sequence[Path],
    folder: Path,
    *,
    leaderboards: Sequence[str] = published.VERSIONS,
    told: Told = NOTHING_TOLD,
    bootstrap_samples: int = 1000,
    say: Callable[[str], None] = lambda line: None,
) -> Built:
    """Builds a site, or brings one up to date.

    Args:
      results: folders of submissions, and archives of such.
      folder: of the site; new, empty, or one of an earlier build.
      leaderboards: published ones that stand on it.
      told: what holds for results whose records do not say it.
      bootstrap_samples: behind the intervals.
      say: gets a line for each board.

    Raises:
      UsageError: if there are no results, the folder is none of ours, or results cannot be scored.
    """
    before = _manifest(folder)
    files.make_folder(folder, "--output")
    with sources.opened(results) as places:
        given = {place.given: place for place in places}
        found = fields.all_of(places, leaderboards, told)
        if not found:
            raise UsageError(
                "Nothing to show: give folders of results, or leaderboards that ship (--shipped)."
            )
        boards, scored = [], []
        taken: list[str] = []
        for field in found:
            name = _folder_name(field, taken)
            taken.append(name)
            board, is_new = _board(field, folder, f"{BOARDS}/{name}", given, bootstrap_samples)
            say(f"{field.title} on {field.hardware}: {'scored' if is_new else 'unchanged'}.")
            boards.append(board)
            scored += [board.folder] if is_new else []
    boards = ordered(boards)
    pages = _pages(boards)
    for path, text in pages.items():
        _write(folder / path, text)
    written = [*pages, *(f"{board.folder}/{name}" for board in boards for name in _files_of(folder, board))]
    removed = _remove(folder, set(before) - set(written))
    files.write_text(folder / MANIFEST, json.dumps({"files": sorted(written)}, indent=1) + "\n")
    return Built(
        folder, tuple(boards), tuple(scored), len([path for path in pages if path.endswith(".html")]), removed
    )


def _manifest(folder: Path) -> list[str]:
    """The files that the last build has written."""
    content = files.read_json_or_none(str(folder / MANIFEST))
    if isinstance(content, dict) and isinstance(content.get("files"), list):
        paths = [path for path in content["files"] if isinstance(path, str)]
        # What it names is taken away one day: nothing outside of the folder.
        return [path for path in paths if not path.startswith("/") and ".." not in path.split("/")]
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"--output={folder} is not empty and no site of an earlier build (it has no {MANIFEST}): give a new folder."
        )
    return []


# ---- one board ---------------------------------------------------------------------------------------------------


def _folder_name(field: Field, taken: Sequence[str]) -> str:
    full = f"{field.suite_name}-{field.ruleset}-{field.hardware}"
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", full).strip("-")
    return slug(full if plain in taken else plain, taken)


def _board(
    field: Field, root: Path, name: str, given: dict[Path, sources.Source], bootstrap_samples: int
) -> tuple[Board, bool]:
    """(the board, whether it was scored now)."""
    folder = root / name
    digest = f"{inputs.digest(field, given)}-{bootstrap_samples}"
    found = files.read_json_or_none(str(folder / STATE))
    state: dict[str, Any] = found if isinstance(found, dict) else {}
    is_new = state.get("digest") != digest or not all((folder / path).is_file() for path in state["files"])
    if is_new:
        state = _score(field, folder, given, bootstrap_samples)
        files.write_json(folder / STATE, {"digest": digest, **state})
    document = json.loads((folder / output.SCORES_JSON).read_bytes())
    downloads = tuple((path, (folder / path).stat().st_size) for path in state["downloads"])
    return Board(field, name, document, state["dates"], downloads), is_new


def _score(
    field: Field, folder: Path, given: dict[Path, sources.Source], bootstrap_samples: int
) -> dict[str, Any]:
    """Scores a field into a folder; what `STATE` keeps of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (folder / STATE).unlink()  # What is written now is of another field until it is whole.
    archives = []
    for number, (place, names) in enumerate(field.members, start=1):
        # Scored from the archive that is linked, so that all links to records stay within the site.
        path = folder / ("results.tar.xz" if len(field.members) == 1 else f"results_{number}.tar.xz")
        archive.pack(given[place].folder, path, names)
        archives.append(path)
    config = score_field.Config(
        submissions_dir=archives[0] if archives else None,
        more_dirs=tuple(archives[1:]),
        suite=field.suite,
        ruleset=field.ruleset,
        compare_to=field.leaderboard,
        bootstrap_samples=bootstrap_samples,
        output_dir=folder,
    )
    scored = score_field.run(config)
    raw = [path.name for path in archives]
    if field.leaderboard:
        raw += _copy_published(field, folder)
    downloads = [name for name in DOWNLOADS if (folder / name).is_file()] + raw
    return {
        "suite": field.suite,
        "ruleset": field.ruleset,
        "hardware": field.hardware,
        "dates": _dates(field, given, scored.board.submissions),
        "downloads": downloads,
        "files": [*downloads, output.REPORT],
    }


def _copy_published(field: Field, folder: Path) -> list[str]:
    assert field.leaderboard is not None
    names = []
    for ending in (published.TRIALS, published.HITS, published.MEDIANS):
        path = published.file_of(field.leaderboard, field.ruleset, ending)
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
            names.append(path.name)
    return names


def _dates(field: Field, given: Mapping[Path, sources.Source], submissions: Sequence[str]) -> dict[str, str]:
    """Submission -> when it came: what it says itself, else its last run, else its leaderboard's date."""
    found = {}
    place_of = {name: given[place].folder for place, names in field.members for name in names}
    for name in submissions:
        own = ""
        if name in place_of:
            info, _ = reading.info_of(place_of[name], name)
            own = (info.date if info else "") or field.started.get(name, "")
        elif field.leaderboard:
            own = published.DATES.get(field.leaderboard, "")
        if own:
            found[name] = own
    return found


def _files_of(root: Path, board: Board) -> list[str]:
    """Files of a board that are no pages."""
    state = json.loads((root / board.folder / STATE).read_bytes())
    return [*state["files"], STATE]


# ---- pages -------------------------------------------------------------------------------------------------------


def _pages(boards: Sequence[Board]) -> Pages:
    pages = {INDEX: index_page.render(boards), METHOD: method_page.render(), index_page.LIST: _list(boards)}
    for board in boards:
        pages[board.page] = board_page.render(board)
        for submission, path in board.entries.items():
            pages[path] = entry_page.render(board, submission, boards)
        for workload, path in board.workloads.items():
            pages[path] = workload_page.render(board, workload)
    return pages


def _list(boards: Sequence[Board]) -> str:
    content = [
        {
            "suite": board.field.suite_name,
            "ruleset": board.field.ruleset,
            "hardware": board.field.hardware,
            "page": board.page,
            "document": f"{board.folder}/{output.SCORES_JSON}",
            "entries": [
                {
                    "submission": row["submission"],
                    "score": row["score"],
                    "rank": row["rank"],
                    "date": board.dates.get(row["submission"]),
                    "page": board.entries[row["submission"]],
                }
                for row in board.rows
            ],
        }
        for board in boards
    ]
    return json.dumps({"boards": content}, indent=1) + "\n"


def _write(path: Path, text: str) -> None:
    """Writes what has changed: an unchanged page keeps its time, and is not sent again by who copies the site."""
    content = text.encode(errors="replace")
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, content)


def _remove(root: Path, paths: set[str]) -> tuple[str, ...]:
    """Takes away files of an earlier build, and folders that are empty then."""
    for path in sorted(paths):
        with contextlib.suppress(FileNotFoundError):
            (root / path).unlink()
        for parent in (root / path).parents:
            if parent == root or not parent.is_dir() or os.listdir(parent):
                break
            parent.rmdir()
    return tuple(sorted(paths))
