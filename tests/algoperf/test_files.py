"""Files are there whole or not at all, whatever happens while they are written; JSON is read as people save it."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from algoperf import commands, files, registry
from algoperf.data import locate
from algoperf.spec import UsageError

ROOT = Path(__file__).resolve().parents[2]


def write_in_two_parts(path, stop):
    with files.writing(path) as file:
        file.write(b"new, ")
        file.flush()
        stop()
        file.write(b"whole")


def fill_folder(path, stop):
    with files.replacing(path) as folder:
        folder.mkdir()
        (folder / "one").write_text("new")
        stop()


def write_json(path, stop):
    class Value:
        def __str__(self):
            stop()
            return "whole"

    files.write_json(path, {"value": Value()}, default=str)


def stopped_by(error):
    def stop():
        raise error

    return stop


@pytest.mark.parametrize("write", [write_in_two_parts, write_json])
@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_write_that_fails_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, write, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)):
        write(path, stopped_by(error))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write(path, lambda: None)
    assert path.read_bytes() in (b"new, whole", b'{\n  "value": "whole"\n}\n')
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_fails_in_the_middle_does_not_appear(tmp_path):
    with pytest.raises(OSError, match="disk full"):
        fill_folder(tmp_path / "folder", stopped_by(OSError("disk full")))
    assert not list(tmp_path.iterdir())
    fill_folder(tmp_path / "folder", lambda: None)
    assert (tmp_path / "folder" / "one").read_text() == "new"


def test_an_error_of_the_file_system_is_the_one_that_is_reported(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "inside", tmp_path / "missing" / "inside"):
        with pytest.raises(OSError, match=r"Not a directory|No such file"):
            files.write_bytes(path, b"content")
        with pytest.raises(OSError, match=r"Not a directory|No such file"), files.writing(path):
            pass


@pytest.mark.parametrize("write", ["write_in_two_parts", "fill_folder"])
def test_what_a_killed_process_leaves_is_hidden_and_goes_with_the_next_try(tmp_path, write):
    path = tmp_path / "file"
    code = (
        f"import os, signal; from pathlib import Path; from tests.algoperf import test_files; "
        f"test_files.{write}(Path({str(path)!r}), lambda: os.kill(os.getpid(), signal.SIGKILL))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment)
    assert died.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert left == files.temporary_path(path)
    assert left.name.startswith(".")
    globals()[write](path, lambda: None)
    assert list(tmp_path.iterdir()) == [path]


def rewrite(path, letter, start):
    start.wait(timeout=60)
    for number in range(100):
        files.write_json(path, [letter * 20_000, number])


def test_of_several_writers_the_last_one_wins_with_all_of_its_content(tmp_path):
    path = tmp_path / "file.json"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    writers = [context.Process(target=rewrite, args=(path, letter, start)) for letter in "abc"]
    for writer in writers:
        writer.start()
    start.wait(timeout=60)
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            text, _ = files.read_json(path)
            assert len(text) == 20_000
            assert len(set(text)) == 1
            seen.add(text[0])
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen
    assert files.read_json(path)[1] == 99
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    files.write_bytes(tmp_path / "bytes", b"")
    with files.writing(tmp_path / "stream", "w", newline=""):
        pass
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_durable_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    events, sizes = [], []
    real_sync, real_replace = os.fsync, os.replace

    def sync(number):
        events.append("sync")
        sizes.append(os.fstat(number).st_size)
        real_sync(number)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("replace"), real_replace(*paths)))
    files.write_json(tmp_path / "one", {}, durable=True)
    with files.writing(tmp_path / "two", durable=True) as file:
        file.write(b"content")
    assert events == ["sync", "replace"] * 2
    assert sizes == [len("{}\n"), len("content")], "nothing waits in a buffer by then"
    events.clear()
    files.write_text(tmp_path / "three", "prepared data")
    assert events == ["replace"]


# ---- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_whatever_unicode_an_editor_has_saved_it(tmp_path, encoding):
    path = tmp_path / "space.json"
    path.write_bytes(json.dumps({"läuft": 0.1}, ensure_ascii=False).encode(encoding))
    assert files.read_json(path) == files.read_users_json(path, "space", "none") == {"läuft": 0.1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"läuft": 1}'.encode("latin-1"), r"byte 4 is no UTF-8"),
        (b"", r"Expecting value: line 1 column 1"),
        (b'{"a": 1,\n "b"}', r".*line 2 column 5"),
        (b"[" * 1_000_000, r"brackets are nested too deeply"),
        (None, r"^Put a space at .*space\.json\.$"),
    ],
)
def test_a_file_of_a_user_that_is_no_json_is_named_with_what_was_found(tmp_path, content, words):
    path = tmp_path / "space.json"
    if content is not None:
        path.write_bytes(content)
        words = rf"^Search space {path} is not readable as JSON \({words}.*\): correct it, or give another file\.$"
    with pytest.raises(UsageError, match=words):
        files.read_users_json(path, f"search space {path}", f"Put a space at {path}.")
    assert files.read_json_or_none(path) is None


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"^Cannot read --point=x \(Is a directory\): give a JSON file\.$"):
        files.read_users_json(tmp_path, "--point=x", "none")
    assert files.read_json_or_none(tmp_path) is None
    with pytest.raises(IsADirectoryError):
        files.read_json(tmp_path)


# ---- what the system refuses -----------------------------------------------------------------------------------------


def full(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/.temporary")


def test_a_full_disk_is_told_from_all_other_errors_and_leaves_the_file_of_before(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    files.write_json(path, 1)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        files.StorageError, match=rf"^Cannot write {path} \(No space left on device\): make room"
    ):
        files.write_json(path, 2, durable=True)
    assert list(tmp_path.iterdir()) == [path]
    assert files.read_json(path) == 1
    with pytest.raises(FileNotFoundError), files.storage_errors(path):
        (tmp_path / "not there").read_bytes()
    assert commands.exit_code_of(lambda: files.write_json(path, 2, durable=True)) == commands.EXIT_STORAGE


def test_a_folder_that_was_deleted_while_it_was_written_is_one_line(tmp_path, capsys):
    path = tmp_path / "trial_1" / "results.json"
    assert commands.exit_code_of(lambda: files.write_json(path, 1)) == commands.EXIT_USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"error: Cannot write {path} (No such file or directory): its folder was deleted")
    assert said.count("\n") == 1


def test_a_full_disk_is_known_by_what_a_library_says_of_it(tmp_path):
    says = "Failed to write train: write() failed: No space left on device; at byte 3"
    with (
        pytest.raises(files.StorageError, match=rf"^Cannot write {tmp_path} \("),
        files.storage_errors(tmp_path),
    ):
        raise RuntimeError(says)
    with pytest.raises(RuntimeError, match="another"), files.storage_errors(tmp_path):
        raise RuntimeError("another reason")


@pytest.mark.parametrize(
    "place", ["a_file", "a_file/below", "dangling", "dangling/below", "loop", "loop/below"]
)
def test_what_is_no_folder_is_named_with_the_flag(tmp_path, place):
    (tmp_path / "a_file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    first = tmp_path / place.split("/")[0]
    found = "is a file" if first.name == "a_file" else "is a link that leads nowhere"
    with pytest.raises(UsageError, match=rf"{first} {found}\): give another --experiment_dir"):
        files.make_folder(tmp_path / place, "--experiment_dir")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch, number):
    def refuse(*args, **options):
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UsageError, match=rf"{os.strerror(number)}\): give another --data_dir"):
        files.make_folder(tmp_path / "new", "--data_dir")


def test_a_folder_on_a_full_disk_is_no_wrong_input(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(files.StorageError):
        files.make_folder(tmp_path / "new", "--data_dir")


def test_a_user_without_a_home_is_told_to_give_the_path_from_the_root(monkeypatch):
    def no_home(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(
        UsageError, match=r"^~/results starts with ~, and this user has no home folder: set \$HOME"
    ):
        files.expanded("~/results")
    monkeypatch.delenv("ALGOPERF_DATA_DIR", raising=False)
    with pytest.raises(UsageError, match=r"--data_dir \(or \$ALGOPERF_DATA_DIR\)"):
        locate.root(None)
    digits = registry.get("digits")
    assert locate.ready_folder(digits), "which reads no files"


def test_what_the_system_refuses_anywhere_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert commands.exit_code_of(lambda: os.listdir(tmp_path / "file")) == commands.EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"error: Cannot use {tmp_path / 'file'} (Not a directory): give another path, or the right to use this one."
    )
    with pytest.raises(FileNotFoundError):  # May be a mistake of ours: its traceback is wanted.
        commands.exit_code_of(lambda: os.listdir(tmp_path / "not there"))
