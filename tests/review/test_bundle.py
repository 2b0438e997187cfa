"""The page for the people who decide: what is on it, and that nothing gets into it but as text."""

import html.parser
import json
import shutil
import subprocess
import sys

import pytest
from harness import ROOT
from refereed import write_refereed

from algoperf import records, source_digest, submission_files
from algoperf.referee.kept_source import KeptSource
from algoperf.spec import UsageError
from review import bundle, records_of
from scoring import archive, markup

SOURCE = '''"""<script>alert("source")</script>"""

from reference_algorithms.shared import schedules


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del model_params, model_state, hyperparameters, rng
    if workload.name == "<b>digits</b>":  # \u202ereversed
        raise SystemExit
    return {}
'''
ODD = '<img src=x onerror="alert(1)">'
FINDING = {"rule": "R3.19", "grade": "forbidden", "step": 3, "text": f"It used 2 s {ODD}."}


class Elements(html.parser.HTMLParser):
    """Reads a page: elements in order, anchors, links; every element is closed."""

    VOID = ("meta",)

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        known = dict(attrs)
        assert known.keys() <= {"class", "id", "href", "lang", "charset", "http-equiv", "content", "open"}, (
            attrs
        )
        self.ids += [known["id"]] if "id" in known else []
        self.links += [known["href"]] if "href" in known else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def submission(tmp_path):
    """The folder of a submission with a finding, and text that would be more than text on a careless page."""
    folder = tmp_path / "mine" / "my_method"
    folder.mkdir(parents=True)
    (folder / "submission_jax.py").write_text(SOURCE)
    (folder / f"{ODD.replace('/', '')}.py").write_text("VALUE = 1\n")
    return folder


@pytest.fixture
def results(tmp_path, submission):
    """Results of it: two refereed trials, and one that was not."""
    root = tmp_path / "results"
    file = submission / "submission_jax.py"
    kept = KeptSource(file)
    own = source_digest.of_files(submission_files.files_of(file, True).paths)
    for study in range(3):
        folder = root / "my_method" / f"study_{study}" / "digits_jax" / "trial_1"
        meta_data = {
            "identity": {"submission_source": kept.digest, "study": study},
            "sources": {"submission_source": own},
            "package_versions": {"jax": "0.10", ODD: ODD},
            "submission_path": str(file),
        }
        write_refereed(
            folder,
            [(5.0, 0.5), (10.0, 0.9)],
            meta_data=meta_data,
            findings=[FINDING] if study == 0 else [],
            submission_time_sec=10.0,
            budget_sec=30.0,
            warnings=[ODD],
            ledger={"update": 9.5, "total": 10.0, "wall": 10.0, "balanced": True},
            referee={
                "confinement": [{"means": "landlock", "held": False, "why": ODD}],
                "least_step_sec": 0.004,
            },
        )
        if study == 2:
            (folder / records.CHAIN).unlink()
            (folder / records.SUMMARY).unlink()
            records.write_json(folder / records.meta_data_file(0), {**meta_data, "refereed": False})
        else:
            kept.write(folder.parents[1])
    return root


def page_of(results, tmp_path, **options):
    path = bundle.write(results, tmp_path / "page.html", **options)
    text = path.read_text()
    return text, Elements(text)


def test_a_page_runs_nothing_and_loads_nothing_whatever_is_in_source_and_records(results, tmp_path):
    text, page = page_of(results, tmp_path)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    assert "&lt;script&gt;alert" in text
    assert "<mark>U+202E</mark>reversed" in text
    assert "\u202e" not in text
    assert "default-src 'none'" in text
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_a_page_has_source_with_findings_in_their_lines_runs_and_records(results, tmp_path):
    (results / "my_method" / records_of.PROBES).write_text(json.dumps({"findings": [{"code": ODD}]}))
    text, page = page_of(results, tmp_path)
    words = " ".join(" ".join(page.text).split())
    for said in (
        "2 of 3 trials",
        "This is the source that ran, comments and notes apart",
        "kept beside the results",
        "It used 2 s",
        "landlock",
        "least_step_sec",
        "10.00 s of 30 s",
        "Where the time went",
        "jax 0.10",
        "Record of a watched trial",
    ):
        assert said in words, said
    line = SOURCE.splitlines().index('    if workload.name == "<b>digits</b>":  # \u202ereversed') + 1
    anchor = next(one for one in page.ids if one.endswith(f"f0l{line}"))
    after = text[text.index(f'id="{anchor}"') :]
    assert 'class="here forbidden"' in after[: after.index(f"l{line + 1}")]
    assert f"#{anchor}" in page.links
    seal = json.loads((results / "my_method/study_0/digits_jax/trial_1" / records.SUMMARY).read_text())[
        "seal"
    ]
    assert seal in words


def test_changed_records_and_source_are_said_at_the_top(results, tmp_path):
    trial = results / "my_method" / "study_0" / "digits_jax" / "trial_1"
    path = trial / records.EVAL_MEASUREMENTS
    path.write_text(path.read_text().replace("10.0", "9.0"))
    for copy in results.rglob("submission_jax.py"):
        copy.write_text(copy.read_text().replace("return 64", "return 65"))
    _, page = page_of(results, tmp_path)
    words = " ".join(" ".join(page.text).split())
    assert "records of 1 trials were changed" in words
    assert "eval_measurements.csv, row 2 was changed" in words
    assert "NOT the source that ran (submission_jax.py changed)" in words


def test_source_that_results_do_not_hold_is_taken_from_a_folder_of_submissions(results, submission, tmp_path):
    for study in range(2):
        shutil.rmtree(results / "my_method" / f"study_{study}" / records.SOURCE)
    _, page = page_of(results, tmp_path)
    assert "give the folder of submissions (--submissions)" in "".join(page.text)
    _, page = page_of(results, tmp_path, submissions_dir=submission.parent)
    assert "This is the source that ran" in "".join(page.text)


def test_a_copy_that_leads_elsewhere_is_not_shown(results, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody's business")
    for index in results.rglob("files.json"):
        content = json.loads(index.read_text())
        content["files"]["submission_jax.py"] = "../../../../../../secret.txt"
        index.write_text(json.dumps(content))
        for own in (index.parent / "own").iterdir():
            (own / "notes.txt").symlink_to(secret)
    text, page = page_of(results, tmp_path)
    assert "which is no file of the copy" in "".join(page.text)
    assert "nobody's business" not in text


def test_an_archive_of_results_has_the_source_and_the_same_page_but_for_its_name(results, tmp_path):
    path = tmp_path / "results.tar.xz"
    archive.pack(results, path)
    _, page = page_of(path, tmp_path)
    words = " ".join(page.text)
    assert "This is the source that ran" in words
    assert "2 of 3 trials" in words


def test_a_file_that_is_kept_from_above_lies_above_in_the_copy(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "rule.py").write_text("STEP = 1\n")
    folder = tmp_path / "subs" / "mine"
    folder.mkdir(parents=True)
    file = folder / "submission_jax.py"
    file.write_text("from ...lib import rule\n")
    KeptSource(file).write(tmp_path / "study_0")
    (rule,) = (tmp_path / "study_0").rglob("rule.py")
    (main,) = (tmp_path / "study_0").rglob("submission_jax.py")
    assert rule == main.parents[2] / "lib" / "rule.py"


def test_the_command_says_where_the_page_is(results, tmp_path):
    page = tmp_path / "page.html"
    command = [sys.executable, ROOT / "check_submission.py", "--bundle", results, f"--output={page}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(page) in done.stdout
    Elements(page.read_text())


def test_what_cannot_be_read_or_written_is_refused(results, tmp_path):
    with pytest.raises(UsageError, match="No results at"):
        bundle.write(tmp_path / "nothing")
    with pytest.raises(UsageError, match="Cannot write --output"):
        bundle.write(results, tmp_path / "no" / "page.html")
    with pytest.raises(UsageError, match="is no folder"):
        bundle.write(results, tmp_path / "page.html", tmp_path / "nothing")


def test_text_of_any_length_and_kind_becomes_text():
    assert markup.safe("a" * (markup.MAX_CHARS + 5)).endswith("… and 5 more characters")
    assert markup.shown({"<a>": [1, {"b": None}], "c": float("nan")}).count("&lt;a&gt;") == 1
    assert markup.safe("\ud800") == "<mark>U+D800</mark>"
