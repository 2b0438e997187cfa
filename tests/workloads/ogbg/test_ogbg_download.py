"""The release is fetched, checked and unpacked, and what is there is not fetched again."""

import hashlib
import http.server
import threading
import zipfile

import pytest
from raw_molecules import FILES, SMALL, texts, write

from algoperf import spec
from algoperf.data.download import Archive
from workloads.ogbg import data, download


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A folder with pcba.zip."""
    place = tmp_path_factory.mktemp("release")
    write(place, texts())
    with zipfile.ZipFile(place / "pcba.zip", "w") as archive:
        for file in FILES.values():
            archive.write(place / "raw" / "pcba" / file, f"pcba/{file}")
        archive.writestr("pcba/README.md", "not needed")
    return place


@pytest.fixture
def server(release, monkeypatch):
    """The paths that were asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(release))

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()  # polls for the end
        content = (release / "pcba.zip").read_bytes()
        archive = Archive(
            f"http://127.0.0.1:{httpd.server_port}/pcba.zip",
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
        monkeypatch.setattr(download, "ARCHIVE", archive)
        yield asked
        httpd.shutdown()


def test_the_release_is_fetched_unpacked_and_prepared(server, release, small_folder, tmp_path):
    download.download(SMALL, tmp_path, progress=False)
    for file in FILES.values():
        assert (tmp_path / "raw/pcba" / file).read_bytes() == (release / "raw/pcba" / file).read_bytes()
    data.prepare(SMALL, tmp_path, progress=False)
    assert (tmp_path / "manifest.json").read_bytes() == (small_folder / "manifest.json").read_bytes()
    (tmp_path / "raw/pcba.zip").unlink()
    download.download(SMALL, tmp_path, progress=False)
    assert server == ["/pcba.zip"]


def test_unpacking_continues_and_writes_only_what_is_missing(server, tmp_path):
    download.download(SMALL, tmp_path, progress=False)
    kept, lost = (tmp_path / "raw/pcba" / FILES[name] for name in ("nodes", "test"))
    before = kept.stat().st_mtime_ns
    content = lost.read_bytes()
    lost.unlink()
    download.download(SMALL, tmp_path, progress=False)
    assert lost.read_bytes() == content
    assert kept.stat().st_mtime_ns == before
    assert server == ["/pcba.zip"]


def test_a_damaged_archive_is_named(release, tmp_path):
    tables = download.raw_tables.tables(5)
    whole = (release / "pcba.zip").read_bytes()
    (tmp_path / "pcba.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(spec.UsageError, match=r"Cannot unpack .*pcba.zip: .*delete it"):
        download.unpack(tmp_path / "pcba.zip", tmp_path, tables, progress=False)
    with zipfile.ZipFile(tmp_path / "pcba.zip", "w") as archive:
        archive.writestr("pcba/raw/node-feat.csv.gz", b"")
    with pytest.raises(spec.UsageError, match=r"no item named 'pcba/raw/graph-label.csv.gz'"):
        download.unpack(tmp_path / "pcba.zip", tmp_path, tables, progress=False)
