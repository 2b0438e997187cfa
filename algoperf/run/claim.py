"""The claim on a trial's folder: of all who would write there, one process does.

    <trial folder>/.claim_<n>.json    who writes here now

Creating a file exclusively is atomic on network file systems as well, where locks need not work. A claim of a holder
that is gone is not changed, the next number is taken, so that of two who find it one gets it; and who has created a
claim looks again, because numbers begin anew when the last claim is given back.
"""

import contextlib
import datetime
import errno
import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from algoperf import files, holders
from algoperf.commands import EXIT_SIGNAL_BASE
from algoperf.spec import UsageError

NAME = re.compile(r"\.claim_(\d+)\.json")
TOKEN = secrets.token_hex(8)
"""Of this process and its forks."""
LOOK_SEC = 0.5
"""Between looks at a claim of a holder that cannot be seen from here."""
EXIT_TAKEN_OVER = EXIT_SIGNAL_BASE + 9
"""As if killed, which is what whoever took the folder believes."""


@contextlib.contextmanager
def on(folder: Path) -> Iterator[None]:
    """Within, this process alone writes into the folder of a trial, which is made if need be.

    It may be nested.

    Raises:
      UsageError: if another process does, within seconds: names it and says what to do; or if the folder cannot be
        written.
      StorageError: if there is no room.
    """
    folder = folder.absolute()  # A submission may go to another working directory meanwhile.
    if any(_is_mine(claim) for claim in _claims(folder)):
        yield
        return
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    files.make_folder(folder, "--experiment_dir")
    path = _take(folder)
    ended = threading.Event()
    threading.Thread(target=_renew, args=(path, ended), name="claim", daemon=True).start()
    owner = os.getpid()
    try:
        yield
    finally:
        ended.set()
        if os.getpid() == owner:  # And no fork of it.
            with contextlib.suppress(OSError):  # What ended the run says more.
                path.unlink()
                for empty in made:  # A run that was refused leaves no empty folders.
                    empty.rmdir()


def is_held(folder: Path) -> bool:
    """Whether a process, as far as can be told at a glance, writes into the folder of a trial."""
    watch = holders.Watch(folder)
    return any(_is_live(claim, watch) for claim in _claims(folder))


def _take(folder: Path) -> Path:
    """The file of a new claim of this process."""
    watch, said = holders.Watch(folder), False
    while True:
        claims = _claims(folder)
        held = [claim for claim in claims if _is_live(claim, watch)]
        if not held:
            path = _create(folder, claims)
            if path is not None:
                for claim in claims:
                    claim.unlink(missing_ok=True)
                return path
            continue
        holder = _holder(held[0])
        # One that cannot be seen is waited for until it gives a sign of life, or none for long enough.
        if holders.is_alive(holder) or watch.has_beaten(held[0]):
            raise UsageError(_held_text(folder, holder))
        if not said:
            print(f"Waiting for a sign of life of {_name(holder)}, who had {folder}.", file=sys.stderr)
            said = True
        time.sleep(LOOK_SEC)


def _create(folder: Path, seen: list[Path]) -> Path | None:
    """A claim with the next number; None if others were faster."""
    number = max((_number(path) for path in seen), default=0) + 1
    path = folder / f".claim_{number}.json"
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = {**holders.identity_of_process(os.getpid()), "since": now, "token": TOKEN}
    with files.storage_errors(path):
        try:
            with open(path, "x") as file:
                try:
                    file.write(json.dumps(content))
                    file.flush()
                except OSError:
                    path.unlink()
                    raise
        except FileExistsError:
            return None
        except FileNotFoundError:  # Whoever had made the folder has just taken it away.
            folder.mkdir(parents=True, exist_ok=True)
            return None
    watch = holders.Watch(folder)
    if any(_is_live(other, watch) for other in _claims(folder) if other not in (path, *seen)):
        path.unlink()
        return None
    return path


def _renew(path: Path, ended: threading.Event) -> None:
    """Beats until the end; ends this process if others hold the folder now, because both would write there."""
    while not ended.wait(holders.HEARTBEAT_SEC):
        try:
            holders.beat(path)
        except FileNotFoundError:
            if ended.is_set():
                return
            print(
                f"error: The claim on {path.parent} is gone, removed or taken over by a process that had not heard of "
                f"this one for {holders.STALE_AFTER_SEC:.0f} s: this one ends without a checkpoint.",
                file=sys.stderr,
                flush=True,
            )
            os._exit(EXIT_TAKEN_OVER)
        except OSError:
            continue  # Whether the folder can still be written is for the records to find out.


# ---- what is on disk ---------------------------------------------------------------------------------------------


def _claims(folder: Path) -> list[Path]:
    """Files of claims, the oldest first."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return []  # `files.make_folder` says what is wrong with it.
    return sorted((folder / name for name in names if NAME.fullmatch(name)), key=_number)


def _number(path: Path) -> int:
    found = NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1])


def _holder(path: Path) -> holders.Identity:
    """What a claim says; nothing where it was created and not filled yet, or is gone."""
    content = files.read_json_or_none(path)
    return content if isinstance(content, dict) else {}


def _is_mine(path: Path) -> bool:
    holder = _holder(path)
    return (holder.get("token"), holder.get("pid")) == (TOKEN, os.getpid())


def _is_live(path: Path, watch: holders.Watch) -> bool:
    is_alive = holders.is_alive(_holder(path))
    return watch.is_fresh(path) if is_alive is None else is_alive


# ---- for people --------------------------------------------------------------------------------------------------


def _name(holder: holders.Identity) -> str:
    return f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown host')}"


def _held_text(folder: Path, holder: holders.Identity) -> str:
    return (
        f"The trial in {folder} is at work: {_name(holder)} has held it since {holder.get('since', 'just now')}. Wait "
        f"for its end, stop it there with `kill {holder.get('pid', '<pid>')}` and start this command again, or give "
        "another --experiment_dir."
    )
