"""The download against a small server on this machine, with archives laid out like the real ones."""

import hashlib
import http.server
import io
import tarfile
import threading

import pytest

from algoperf import registry
from algoperf.spec import UsageError
from workloads.wmt import corpus, download

TEXTS = {  # Archive -> member -> content; sentences with an empty side and other languages are in there too.
    "europarl.tgz": {
        "training/europarl-v7.cs-en.cs": "Ahoj\n",
        "training/europarl-v7.de-en.de": "Guten Tag\n\nDanke schön\n",
        "training/europarl-v7.de-en.en": "Good day\nHello\nThank you\n",
    },
    "commoncrawl.tgz": {"commoncrawl.de-en.de": "Straße\n", "commoncrawl.de-en.en": "Street\n"},
    "dev.tgz": {
        "dev/newstest2013.de": "Eins\nZwei\n",
        "dev/newstest2013.en": "One\nTwo\n",
        "dev/newstest2014-deen-src.de.sgm": '<srcset>\n<seg id="1">Drei</seg>\n</srcset>\n',
        "dev/newstest2014-deen-ref.en.sgm": '<refset>\n<seg id="1">Three</seg>\n</refset>\n',
    },
}
SUBSETS = {
    "train": {"europarl_v7": "europarl.tgz", "commoncrawl": "commoncrawl.tgz"},
    "validation": {"newstest2013": "dev.tgz"},
    "test": {"newstest2014": "dev.tgz"},
}


def make_archive(members: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `files`, from the byte asked for if `ranges`; records where each answer starts."""

    files: dict[str, bytes]
    ranges = True
    starts: list[int]

    def do_GET(self) -> None:
        content = self.files.get(self.path.lstrip("/"))
        if content is None:
            return self.send_error(404)
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        self.starts.append(start)
        self.send_response(206 if start else 200)
        self.end_headers()
        self.wfile.write(content[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server():
    class Local(Handler):
        files = {name: make_archive(members) for name, members in TEXTS.items()}
        starts = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Local) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()  # polls for the end
        Local.url = f"http://127.0.0.1:{running.server_address[1]}"
        yield Local
        running.shutdown()


def archive_of(server: type[Handler], name: str, **changes: object) -> download.Archive:
    content = server.files[name]
    facts = {"num_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **changes}
    return download.Archive(f"{server.url}/{name}", **facts)


@pytest.fixture
def local_subsets(server, monkeypatch):
    """TFDS's own tables, with each archive replaced by the local one."""
    real = download.subsets_of

    def subsets_of(dataset: str, split: str) -> list[download.Subset]:
        found = {subset.name: subset for subset in real(dataset, split)}
        local = SUBSETS[split].items()
        return [download.Subset(n, archive_of(server, file), found[n].members) for n, file in local]

    monkeypatch.setattr(download, "subsets_of", subsets_of)


def test_tfds_names_the_corpora_of_the_fact_sheet():
    names = {
        split: [subset.name for subset in download.subsets_of(dataset, split)]
        for split, dataset in corpus.DATASET_OF_SPLIT.items()
    }
    assert names == {
        "train": ["europarl_v7", "commoncrawl", "newscommentary_v12", "rapid_2016"],
        "validation": ["newstest2013"],
        "test": ["newstest2014"],
    }


def test_download_writes_data_that_the_reader_reads_and_cleans_up(local_subsets, server, tmp_path):
    download.download(registry.get("wmt"), tmp_path, progress=False)
    pairs = {
        split: set(corpus.RawSplit(tmp_path / "raw", split).pairs()) for split in corpus.DATASET_OF_SPLIT
    }
    assert pairs == {
        "train": {("Guten Tag", "Good day"), ("Danke schön", "Thank you"), ("Straße", "Street")},
        "validation": {("Eins", "One"), ("Zwei", "Two")},
        "test": {("Drei", "Three")},
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
    assert len(server.starts) == 3  # dev.tgz once.
    download.download(registry.get("wmt"), tmp_path, progress=False)
    assert len(server.starts) == 3


def test_an_interrupted_download_continues_where_it_stopped(server, tmp_path):
    archive = archive_of(server, "dev.tgz")
    (tmp_path / "dev.tgz.part").write_bytes(server.files["dev.tgz"][:100])
    download.fetch(archive, tmp_path / "dev.tgz", progress=False)
    assert (tmp_path / "dev.tgz").read_bytes() == server.files["dev.tgz"]
    assert server.starts == [100]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "dev.tgz.part").write_bytes(b"something else")
    download.fetch(archive_of(server, "dev.tgz"), tmp_path / "dev.tgz", progress=False)
    assert (tmp_path / "dev.tgz").read_bytes() == server.files["dev.tgz"]


def test_changed_content_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(UsageError, match=r"has SHA-256 .*, 0000 was expected"):
        download.fetch(archive_of(server, "dev.tgz", sha256="0000"), tmp_path / "dev.tgz", progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["missing.tgz", "dev.tgz"])
def test_a_failed_download_says_how_far_it_came(server, tmp_path, path):
    archive = download.Archive(f"{server.url}/{path}", 10**6, "0000")
    with pytest.raises(
        UsageError, match=r"Cannot download .*of 1,000,000 bytes.*The same command continues\."
    ):
        download.fetch(archive, tmp_path / path, progress=False)


def test_an_archive_without_the_texts_is_refused(server, tmp_path):
    (tmp_path / "dev.tgz").write_bytes(server.files["dev.tgz"])
    subset = download.Subset("newstest2015", archive_of(server, "dev.tgz"), ("dev/newstest2015.de",))
    with pytest.raises(UsageError, match=r"dev\.tgz lacks dev/newstest2015\.de"):
        download.unpack(subset, tmp_path, progress=False)


def test_a_full_disk_is_noticed_before_anything_is_fetched(local_subsets, server, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1e9}))
    with pytest.raises(UsageError, match=r"This needs 12\.0 GB in .*; only 1\.0 GB are free\."):
        download.download(registry.get("wmt"), tmp_path, progress=False)
    assert server.starts == []
