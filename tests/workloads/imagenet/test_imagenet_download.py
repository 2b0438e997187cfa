"""The download: printed steps for what needs an account, the rest from a small server on this machine."""

import dataclasses
import hashlib
import http.server
import shutil
import threading

import pytest

from algoperf import registry
from algoperf.data import download as shared_download
from algoperf.spec import UsageError
from workloads.imagenet import data, download, sources

FULL = registry.get("imagenet_resnet")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `content` from the byte asked for; records where each answer starts."""

    content: bytes
    starts: list[int]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.starts.append(start)
        self.send_response(206 if start else 200)
        self.end_headers()
        self.wfile.write(self.content[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(folder, monkeypatch):
    """A server of the synthesized ImageNet-v2, with sizes and checksums of the synthesized archives."""

    class Local(Handler):
        content = (folder / "raw" / sources.ARCHIVES["test"]).read_bytes()
        starts = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Local) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()  # polls for the end
        url = f"http://127.0.0.1:{running.server_address[1]}/{sources.ARCHIVES['test']}"
        digest = hashlib.sha256(Local.content).hexdigest()
        local = shared_download.Archive(url, len(Local.content), digest)
        monkeypatch.setattr(download, "IMAGENET_V2", local)
        sizes = {
            split: (folder / "raw" / sources.ARCHIVES[split]).stat().st_size
            for split in download.ILSVRC_BYTES
        }
        monkeypatch.setattr(download, "ILSVRC_BYTES", sizes)
        yield Local
        running.shutdown()


@pytest.fixture
def by_hand(folder, tmp_path):
    """A folder with the archives that a person put there, and the labels of the synthesized validation images."""
    (tmp_path / "raw").mkdir()
    for name in (sources.ARCHIVES["train"], sources.ARCHIVES["validation"], sources.VALIDATION_LABELS):
        shutil.copy(folder / "raw" / name, tmp_path / "raw" / name)
    return tmp_path


def test_facts_of_the_archives_are_those_of_tfds():
    import tensorflow_datasets as tfds

    tables = [
        tfds.core.tfds_path(f"datasets/{name}/checksums.tsv") for name in ("imagenet2012", "imagenet_v2")
    ]
    lines = [line.split() for table in tables for line in table.read_text().splitlines()]
    known = {url.rsplit("/", 1)[-1]: (url, int(size), sha256) for url, size, sha256, *_ in lines}
    v2 = download.IMAGENET_V2
    assert known[sources.ARCHIVES["test"]] == (v2.url, v2.num_bytes, v2.sha256)
    for split, size in download.ILSVRC_BYTES.items():
        assert known[sources.ARCHIVES[split]][1:] == (size, download.ILSVRC_SHA256[split])


def test_without_the_archives_the_steps_are_printed_first(server, tmp_path):
    with pytest.raises(UsageError) as raised:
        download.download(FULL, tmp_path, progress=False)
    text = str(raised.value)
    for part in (
        "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar",
        "https://image-net.org",
        str(tmp_path / "raw"),
    ):
        assert part in text
    assert "\n" not in text
    assert (tmp_path / "raw").is_dir()
    assert server.starts == []


def test_only_what_is_missing_is_asked_for(server, by_hand):
    (by_hand / "raw" / sources.ARCHIVES["validation"]).unlink()
    with pytest.raises(UsageError, match=r"missing: ILSVRC2012_img_val\.tar\. Do this"):
        download.download(FULL, by_hand, progress=False)


def test_imagenet_v2_is_fetched_and_everything_prepared(server, by_hand, spec, folder):
    (by_hand / "raw" / f"{sources.ARCHIVES['test']}.part").write_bytes(server.content[:1_000])
    download.download(FULL, by_hand, progress=False)
    assert server.starts == [1_000]
    assert (by_hand / "raw" / sources.ARCHIVES["test"]).read_bytes() == server.content
    full = dataclasses.replace(
        FULL,
        num_train_examples=70,
        num_validation_examples=20,
        num_test_examples=12,
        data={**FULL.data.to_dict(), "num_classes": 16},
    )
    data.prepare(full, by_hand, progress=False)
    assert data.verify(full, by_hand, progress=False) == data.verify(spec, folder, progress=False)
    shutil.rmtree(by_hand / "raw")
    download.download(FULL, by_hand, progress=False)  # Prepared data need no archives.
    assert server.starts == [1_000]


def test_an_archive_of_another_size_is_refused(server, by_hand):
    path = by_hand / "raw" / sources.ARCHIVES["train"]
    path.write_bytes(path.read_bytes()[:-512])
    with pytest.raises(
        UsageError, match=r"img_train\.tar has [\d,]+ bytes; the published archive has [\d,]+ \(SHA"
    ):
        download.download(FULL, by_hand, progress=False)
    assert server.starts == []


def test_changed_content_is_refused(server, by_hand):
    server.content = b"x" * len(server.content)
    with pytest.raises(UsageError, match=r"has SHA-256 .* was expected"):
        download.download(FULL, by_hand, progress=False)


def test_a_server_out_of_reach_is_reported_with_what_is_there(by_hand, server, monkeypatch):
    nowhere = dataclasses.replace(download.IMAGENET_V2, url="http://127.0.0.1:9/imagenetv2.tar.gz")
    monkeypatch.setattr(download, "IMAGENET_V2", nowhere)
    with pytest.raises(
        UsageError, match=r"Cannot download http://127\.0\.0\.1:9/.*The same command continues\."
    ):
        download.download(FULL, by_hand, progress=False)


def test_a_full_disk_is_noticed_before_anything_is_fetched(server, by_hand, monkeypatch):
    usage = type("Usage", (), {"free": 1_000})
    monkeypatch.setattr(shared_download.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UsageError, match=r"This needs .* only 0\.0 GB are free"):
        download.download(FULL, by_hand, progress=False)
    assert server.starts == []
