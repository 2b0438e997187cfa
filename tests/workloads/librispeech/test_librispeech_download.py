"""The download against a small server on this machine, with archives laid out like OpenSLR's."""

import hashlib
import http.server
import io
import shutil
import tarfile
import threading

import pytest
from librispeech_trees import write_tree

from algoperf import registry
from algoperf.data.download import Archive
from algoperf.spec import UsageError
from workloads.librispeech import corpus, download

FULL = registry.get("librispeech_conformer")


def make_archive(raw, subset):
    """A tar.gz of a subset and of files that come with it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(corpus.subset_folder(raw, subset), f"{corpus.ROOT}/{subset}")
        for name in (f"{corpus.ROOT}/SPEAKERS.TXT", f"{corpus.ROOT}/{subset}/../../1/2.flac"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    return stream.getvalue()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Subset -> bytes."""
    raw = tmp_path_factory.mktemp("source")
    write_tree(raw)
    return {subset: make_archive(raw, subset) for subset in corpus.SUBSETS}


@pytest.fixture
def server(archives, monkeypatch):
    """Serves the archives; records (subset, first byte) of each answer."""

    class Local(http.server.BaseHTTPRequestHandler):
        served = []

        def do_GET(self):
            subset = self.path.strip("/").removesuffix(".tar.gz")
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.served.append((subset, start))
            self.send_response(206 if start else 200)
            self.end_headers()
            self.wfile.write(archives[subset][start:])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Local) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()  # polls for the end
        base = f"http://127.0.0.1:{running.server_address[1]}"
        table = {
            subset: Archive(f"{base}/{subset}.tar.gz", len(content), hashlib.sha256(content).hexdigest())
            for subset, content in archives.items()
        }
        monkeypatch.setattr(download, "ARCHIVES", table)
        monkeypatch.setattr(download, "PREPARED_BYTES", 0)
        monkeypatch.setattr(corpus, "OFFICIAL_COUNTS", dict.fromkeys(corpus.SUBSETS, 6))
        yield Local
        running.shutdown()


def test_all_subsets_arrive_and_archives_go(server, tmp_path):
    download.download(FULL, tmp_path, progress=False)
    assert [subset for subset, _ in server.served] == list(corpus.SUBSETS)
    for subset in corpus.SUBSETS:
        assert len(corpus.read_subset(tmp_path / "raw", subset, 6)) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [corpus.ROOT]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    download.download(FULL, tmp_path, progress=False)
    server.served.clear()
    download.download(FULL, tmp_path, progress=False)
    assert server.served == []
    shutil.rmtree(corpus.subset_folder(tmp_path / "raw", "dev-other"))
    download.download(FULL, tmp_path, progress=False)
    assert server.served == [("dev-other", 0)]


def test_an_interrupted_download_continues(server, archives, tmp_path):
    partial = tmp_path / "downloads" / "train-clean-100.tar.gz.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(archives["train-clean-100"][:100])
    download.download(FULL, tmp_path, progress=False)
    assert server.served[0] == ("train-clean-100", 100)


def test_an_interrupted_unpacking_continues(server, archives, tmp_path, monkeypatch):
    copy, copied = shutil.copyfileobj, []

    def interrupted(source, file, *arguments):
        if len(copied) == 3:
            raise KeyboardInterrupt
        copied.append(file.name)
        copy(source, file, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(download.shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download.download(FULL, tmp_path, progress=False)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.flac")}
    assert len(first) >= 2
    download.download(FULL, tmp_path, progress=False)
    assert first == {path: path.stat().st_mtime_ns for path in first}
    assert [subset for subset, _ in server.served].count("train-clean-100") == 1
    assert not list(tmp_path.rglob("*.part"))


def test_a_damaged_archive_is_refused(archives, tmp_path):
    path = tmp_path / "dev-clean.tar.gz"
    path.write_bytes(archives["dev-clean"][:2_000])
    with pytest.raises(UsageError, match=r"Cannot unpack .*dev-clean\.tar\.gz"):
        download.unpack(path, tmp_path, "dev-clean", progress=False)


def test_a_full_disk_is_noticed_before_the_download(tmp_path):
    class Usage:
        free = 1_000

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda folder: Usage)
        with pytest.raises(UsageError, match=r"This needs 2\d\d\.\d GB"):
            download.download(FULL, tmp_path, progress=False)


def test_archives_are_those_of_the_subsets():
    assert set(download.ARCHIVES) == set(corpus.SUBSETS)
    assert download.ARCHIVES["dev-clean"].url == "https://www.openslr.org/resources/12/dev-clean.tar.gz"
    assert 60e9 < sum(archive.num_bytes for archive in download.ARCHIVES.values()) < 62e9
