"""Unpacking archives that a person has put in place."""

import io
import shutil
import tarfile

import pytest

from algoperf import registry
from algoperf.spec import UsageError
from workloads.fastmri import download

CONTENT = {f"file{number}.h5": bytes([number]) * 100_000 for number in range(3)}


def make_archive(path, part):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name in [*CONTENT, "._file0.h5"]:
            info = tarfile.TarInfo(f"singlecoil_{part}/{name}")
            info.size = len(CONTENT.get(name, b""))
            archive.addfile(info, io.BytesIO(CONTENT.get(name, b"")))


def unpacked(raw, part):
    return {path.name: path.read_bytes() for path in (raw / f"knee_singlecoil_{part}").glob("*.h5")}


def test_without_archives_the_steps_are_named(tmp_path):
    with pytest.raises(
        UsageError, match=r"knee_singlecoil_train\.tar\.xz and knee_singlecoil_val\.tar\.xz"
    ) as caught:
        download.download(registry.get("fastmri"), tmp_path, progress=False)
    assert download.PAGE in str(caught.value)


def test_archives_are_unpacked_once_and_an_interrupted_unpacking_continues(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    for part in ("train", "val"):
        make_archive(raw / f"knee_singlecoil_{part}.tar.xz", part)
    copy, calls = shutil.copyfileobj, []

    def stop_at_third(source, file, length):
        calls.append(file.name)
        if len(calls) == 3:
            file.write(b"half")
            raise KeyboardInterrupt
        copy(source, file, length)

    monkeypatch.setattr(shutil, "copyfileobj", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        download.download(registry.get("fastmri"), tmp_path, progress=False)
    assert len(unpacked(raw, "train")) == 2
    download.download(registry.get("fastmri"), tmp_path, progress=False)
    assert unpacked(raw, "train") == unpacked(raw, "val") == CONTENT
    assert len(calls) == 3 + 1 + 3, "complete volumes are not written again"
    download.download(registry.get("fastmri"), tmp_path, progress=False)
    assert len(calls) == 7


def test_a_damaged_archive_is_named(tmp_path):
    for part in ("train", "val"):
        make_archive(tmp_path / "raw" / f"knee_singlecoil_{part}.tar.xz", part)
    archive = tmp_path / "raw" / "knee_singlecoil_train.tar.xz"
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(UsageError, match=r"knee_singlecoil_train\.tar\.xz is damaged"):
        download.download(registry.get("fastmri"), tmp_path, progress=False)
