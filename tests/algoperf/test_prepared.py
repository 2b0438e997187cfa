"""What a family's `data.py` inherits, by the example of a family whose data are one file of numbers."""

import dataclasses
import io
import lzma
import tarfile

import numpy as np
import pytest
from tqdm import tqdm

from algoperf import files, registry
from algoperf.data import locate, manifest, prepared
from algoperf.data.bad_files import BadFilesError
from algoperf.data.download import unpack_tar
from algoperf.data.jobs import run_jobs
from algoperf.spec import UsageError

MINI = registry.get("wmt_mini")
FULL = registry.get("wmt")


class Numbers(prepared.PreparedData):
    file_format = 1

    def __init__(self):
        self.num_written = 0

    def settings(self, spec):
        return {"size": spec.num_test_examples}

    def describe(self, spec):
        return {"seed": 1, **prepared.num_examples(spec)}

    def make_raw(self, spec, folder, progress):
        raw = folder / "raw"
        if not prepared.is_synthesized(raw, self.describe(spec)):
            raw.mkdir(parents=True, exist_ok=True)
            (raw / "numbers.txt").write_text("1 2 3")
            prepared.mark_synthesized(raw, self.describe(spec), manifest.sha256_of(raw / "numbers.txt"))
            self.num_written += 1

    def write(self, spec, folder, config, progress):
        if not (folder / "raw" / "numbers.txt").is_file():
            raise UsageError("There is no numbers.txt.")
        np.save(folder / "numbers.npy", np.loadtxt(folder / "raw" / "numbers.txt"))
        of_files = {"numbers.npy": manifest.entry(folder / "numbers.npy")}
        manifest.write(folder, self.file_format, config, splits={"test": {"numbers": 3}}, files=of_files)


@pytest.fixture
def data(tmp_path):
    data = Numbers()
    data.synthesize(MINI, tmp_path, progress=False)
    data.prepare(MINI, tmp_path, progress=False)
    return data


def test_prepared_data_are_ready_for_their_spec_and_for_no_other(data, tmp_path):
    assert data.is_ready(MINI, tmp_path)
    assert data.is_ready(MINI, str(tmp_path))
    data.require(MINI, tmp_path)
    assert not data.is_ready(dataclasses.replace(MINI, num_train_examples=7), tmp_path), "another synthesis"
    assert not data.is_ready(FULL, tmp_path)
    assert data.verify(MINI, tmp_path, progress=False) == {"test": {"numbers": 3}}


def test_the_synthesis_belongs_to_the_config_of_mini_workloads_only():
    data = Numbers()
    assert data.config(FULL) == {"size": FULL.num_test_examples}
    assert data.config(MINI) == {"size": MINI.num_test_examples, "synthesis": data.describe(MINI)}


def test_raw_files_are_made_once_and_again_where_their_mark_is_broken(data, tmp_path):
    data.synthesize(MINI, tmp_path, progress=False)
    assert data.num_written == 1
    for torn in ('{"text": {"se', "[]", '{"text": {"seed": 2}}'):
        (tmp_path / "raw" / prepared.SYNTHESIS).write_text(torn)
        data.synthesize(MINI, tmp_path, progress=False)
    assert data.num_written == 4


def test_data_of_another_format_are_not_ready(data, tmp_path):
    data.file_format = 2
    assert not data.is_ready(MINI, tmp_path)


def test_missing_and_damaged_data_are_named_with_the_command_that_mends_them(data, tmp_path):
    command = rf"python datasets/dataset_setup\.py --dataset=wmt_mini --data_dir={tmp_path.parent}$"
    content = (tmp_path / "numbers.npy").read_bytes()
    (tmp_path / "numbers.npy").write_bytes(content[:-1] + b"\x01")
    assert data.is_ready(MINI, tmp_path), "sizes alone are looked at"
    with pytest.raises(
        UsageError, match=rf"^Damaged in {tmp_path}: numbers\.npy\. Delete them, then: {command}"
    ):
        data.verify(MINI, tmp_path, progress=False)
    (tmp_path / "numbers.npy").write_bytes(content[:-1])
    for refused in (data.require, data.verify):
        with pytest.raises(
            UsageError, match=rf"^No prepared data for 'wmt_mini' in {tmp_path}\. .*: {command}"
        ):
            refused(MINI, tmp_path)
    (tmp_path / "raw" / "numbers.txt").unlink()
    with pytest.raises(
        UsageError, match=rf"^There is no numbers\.txt\. To get and prepare the data: {command}"
    ):
        data.prepare(MINI, tmp_path, progress=False)
    data.next_step = None
    with pytest.raises(UsageError, match=r"^There is no numbers\.txt\.$"):
        data.prepare(MINI, tmp_path, progress=False)


# ---- what every run looks at before it trains ------------------------------------------------------------------------


@pytest.fixture
def checked_before_training(data, tmp_path):
    """Says what a run says of the data in `tmp_path`, which are wanted under that name."""

    def check():
        locate._damaged.cache_clear()
        locate.check_content(MINI, tmp_path)

    return check


@pytest.mark.parametrize("change", ["flip", "zeros", "cut"])
def test_data_that_have_changed_since_they_were_prepared_are_found_before_training(
    checked_before_training, tmp_path, change
):
    path = tmp_path / "numbers.npy"
    content = path.read_bytes()
    checked_before_training()
    changed = {"flip": content[:-1] + b"\x01", "zeros": bytes(len(content)), "cut": content[:-1]}[change]
    path.write_bytes(changed)
    with pytest.raises(
        UsageError, match=rf"^Damaged in {tmp_path}: numbers\.npy\. Delete them, then: python"
    ):
        checked_before_training()


def test_of_a_large_file_blocks_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "WHOLE_BYTES", 2 * 2**20)
    content = np.random.default_rng(0).bytes(3 * 2**20)
    (tmp_path / "large").write_bytes(content)
    manifest.write(tmp_path, 1, {}, files={"large": manifest.entry(tmp_path / "large")})
    assert manifest.spot_check(tmp_path) == []
    for start in (0, 2**20, 3 * 2**20 - 1):
        (tmp_path / "large").write_bytes(content[:start] + bytes(2**20) + content[start + 2**20 :])
        if start + 2**20 > len(content):
            (tmp_path / "large").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert manifest.spot_check(tmp_path) == ["large"], "zeros where something was"
    (tmp_path / "large").unlink()
    assert manifest.spot_check(tmp_path) == ["large"]


def test_manifests_from_before_there_were_blocks_are_compared_by_size(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "WHOLE_BYTES", 100)
    (tmp_path / "large").write_bytes(bytes(200))
    files.write_json(tmp_path / manifest.NAME, {"files": {"large": {"bytes": 200, "sha256": "of before"}}})
    assert manifest.spot_check(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", r"it must be an object in braces, got \[\]"),
        ('{"files": {"a', "Unterminated string"),
        ('{"files": []}', r"'files' must be an object in braces"),
        ('{"files": {"a": {"sha256": "x"}}}', "'files.a' lacks 'bytes'"),
        ('{"files": {"a": {"bytes": "1"}}}', "'files.a.bytes' must be a whole number"),
    ],
)
def test_a_damaged_manifest_is_named_with_what_to_do(data, tmp_path, content, words):
    (tmp_path / manifest.NAME).write_text(content)
    with pytest.raises(UsageError, match=words) as caught:
        data.is_ready(MINI, tmp_path)
    assert str(tmp_path / manifest.NAME) in str(caught.value)
    assert "Delete it, and prepare the data again" in str(caught.value)


@pytest.mark.parametrize("kind", ["file", "dangling", "circle"])
def test_a_data_folder_that_is_no_folder_is_one_line(tmp_path, kind):
    folder = tmp_path / "wmt_mini"
    if kind == "file":
        folder.write_text("")
    else:
        folder.symlink_to(folder if kind == "circle" else tmp_path / "nowhere")
    with pytest.raises(UsageError, match=rf"--data_dir={folder} cannot be used: .*(a file|leads nowhere)"):
        locate.ready_folder(MINI, tmp_path)


def test_equal_data_have_equal_hashes_for_the_record(data, tmp_path):
    assert manifest.hash_of(tmp_path) == manifest.sha256_of(tmp_path / manifest.NAME)[:16]
    assert manifest.hash_of(tmp_path / "nowhere") is None


def test_eval_train_is_an_even_share_of_the_training_examples():
    spec = dataclasses.replace(MINI, num_eval_train_examples=4)
    assert prepared.eval_indices(spec, "eval_train", 10).tolist() == [0, 2, 5, 7]
    assert prepared.eval_indices(spec, "eval_train", 3).tolist() == [0, 1, 2]
    assert prepared.eval_indices(spec, "validation", 6).tolist() == list(range(6))
    assert [prepared.stored_split(split) for split in prepared.EVAL_SPLITS] == ["train", "validation", "test"]
    with pytest.raises(UsageError, match=r"No evaluation split is called 'train'"):
        prepared.stored_split("train")


@pytest.mark.parametrize("family", sorted(registry.discover()))
def test_every_family_with_files_has_the_functions_that_the_harness_calls(family, tmp_path):
    base = next(spec for spec in map(registry.get, registry.names()) if spec.family == family)
    data = registry.data_module(base)
    if not getattr(data, "NEEDS_FILES", True):
        return
    assert not data.is_ready(base, tmp_path)
    for refused in (
        lambda: data.verify(base, tmp_path, progress=False),
        lambda: data.train_stream(base, tmp_path, 0, 8),
        lambda: next(iter(data.eval_batches(base, tmp_path, "validation", 8))),
    ):
        with pytest.raises(
            UsageError, match=rf"No prepared data for '{base.name}'.*--dataset={base.dataset} "
        ):
            refused()
    with pytest.raises(UsageError, match="No evaluation split is called 'train'"):
        next(iter(data.eval_batches(base, tmp_path, "train", 8)))
    with pytest.raises(UsageError, match=rf"dataset_setup\.py --dataset={base.dataset} --data_dir="):
        data.prepare(base, tmp_path, progress=False)


# ---- archives and jobs -----------------------------------------------------------------------------------------------


def make_archive(path, members):
    with tarfile.open(path, "w:xz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_an_archive_that_ends_early_leaves_whole_members_only(tmp_path):
    rng = np.random.default_rng(0)
    members = {f"inner/{number}": rng.bytes(300_000) for number in range(4)}
    make_archive(tmp_path / "whole.tar.xz", members)
    content = (tmp_path / "whole.tar.xz").read_bytes()
    (tmp_path / "short.tar.xz").write_bytes(content[:700_000])

    def target_of(member):
        return None if member.name.endswith("1") else tmp_path / "out" / member.name

    with pytest.raises((tarfile.TarError, EOFError, lzma.LZMAError)):
        unpack_tar(tmp_path / "short.tar.xz", target_of, progress=False)
    found = {path.name: path for path in (tmp_path / "out" / "inner").iterdir()}
    assert found.keys() == {"0"}
    before = found["0"].stat().st_mtime_ns
    unpack_tar(tmp_path / "whole.tar.xz", target_of, progress=False)
    found = {f"inner/{path.name}": path.read_bytes() for path in (tmp_path / "out" / "inner").iterdir()}
    assert found == {name: content for name, content in members.items() if name != "inner/1"}
    assert (tmp_path / "out" / "inner" / "0").stat().st_mtime_ns == before, "it is not written again"
    (tmp_path / "out" / "inner" / "2").write_bytes(b"of another archive")
    unpack_tar(tmp_path / "whole.tar.xz", target_of, progress=False)
    assert (tmp_path / "out" / "inner" / "2").read_bytes() == members["inner/2"]


def write_square(folder, number):
    if number == 13:
        raise ValueError("an unlucky job")
    if number > 20:
        raise UsageError(f"{number} is bad.")
    files.write_text(folder / str(number), str(number**2))
    return number


@pytest.mark.parametrize("in_processes", [False, True])
def test_jobs_are_done_and_counted_and_an_error_ends_them(tmp_path, in_processes):
    with tqdm(total=6, disable=True) as bar:
        bar.update = lambda count, done=(counts := []): done.append(count)
        run_jobs(write_square, [(tmp_path, number) for number in (1, 2, 3)], bar, in_processes, 2)
        assert sorted(counts) == [1, 2, 3]
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"1": "1", "2": "4", "3": "9"}
        with pytest.raises(BadFilesError, match=r"^2 raw files cannot be used\. 21 is bad\. 22 is bad\."):
            run_jobs(write_square, [(tmp_path, number) for number in (22, 21, 5)], bar, in_processes, 2)
        assert (tmp_path / "5").exists(), "what is good is done all the same"
        with pytest.raises(ValueError, match="an unlucky job"):
            run_jobs(write_square, [(tmp_path, 13), (tmp_path, 4)], bar, in_processes, 1)
