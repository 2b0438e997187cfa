"""Several folders and archives in one call, and which submissions of them and of published ones count."""

import shutil

import pytest

from algoperf import suites
from algoperf.spec import UsageError
from scoring import archive, score_field, sources
from scoring.results import Kind
from scoring.score_field import Config


@pytest.fixture
def places(tmp_path, write_trial):
    """Two folders: 'adam' with studies 0 and 1 in one, 2 in the other; 'lion' in the other alone."""
    for study in range(3):
        for trial in (1, 2):
            for workload in ("down", "up", "up_variant"):
                metric, value = ("loss", 0.1) if workload == "down" else ("accuracy", 0.9)
                for name in ("adam", "lion"):
                    rows = [(10.0 + study + trial, value)]
                    write_trial(name, f"{workload}_jax", study=study, trial=trial, rows=rows, metric=metric)
    here, there = tmp_path / "submissions", tmp_path / "there"
    there.mkdir()
    shutil.move(here / "lion", there / "lion")
    (there / "adam").mkdir()
    shutil.move(here / "adam" / "study_2", there / "adam" / "study_2")
    return here, there


@pytest.fixture
def score(suite, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: suite)

    def score(*paths, **options):
        options = {"bootstrap_samples": 0, "suite": "test", **options}
        return score_field.run(Config(submissions_dir=paths[0], more_dirs=paths[1:], **options))

    return score


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("is_packed", [False, True])
def test_folders_and_archives_are_one_field_and_studies_of_an_entry_join(
    score, places, tmp_path, order, is_packed
):
    paths = list(places)
    if is_packed:
        paths[1] = tmp_path / "there.tar.xz"
        archive.pack(places[1], paths[1])
    scored = score(*(paths[at] for at in order), strict=True)
    assert scored.board.submissions == ("adam", "lion")
    assert [one.study for one in scored.board.table.cells["adam", "up"].studies] == [0, 1, 2]
    assert any(note.startswith("adam is joined from ") and str(paths[1]) in note for note in scored.notes)
    assert not any("lion is joined" in note for note in scored.notes)


def test_a_study_in_two_places_is_refused_with_both(score, places, tmp_path):
    shutil.copytree(places[0] / "adam" / "study_1", places[1] / "adam" / "study_1")
    packed = tmp_path / "there.tar.xz"
    archive.pack(places[1], packed)
    with pytest.raises(
        UsageError, match=r"study_1 of adam on down is in .*submissions' and .*there.tar.xz'"
    ) as refused:
        score(places[0], packed)
    assert "and 2 more studies likewise" in str(refused.value)
    assert score(places[0], packed, exclude=("adam",)).board.submissions == ("lion",)


def test_a_study_copied_to_another_place_under_another_number_is_found(score, places):
    for folder in (places[0] / "adam" / "study_0").glob("*/*"):
        file = folder / "eval_measurements.csv"
        file.write_text(
            file.read_text().replace(".0", ".123456789")
        )  # A clock as it is, not in whole seconds.
        copy = places[1] / "adam" / "study_2" / folder.relative_to(folder.parents[1])
        shutil.copytree(folder, copy, dirs_exist_ok=True)
    found = score(*places).findings
    assert {one.kind for one in found} == {Kind.COPY}
    assert {(one.place.partition("/")[0], one.detail.partition("/")[0]) for one in found} == {
        ("study_2", "study_0")
    }


def test_one_submission_in_both_frameworks_is_refused_over_places(score, places):
    for folder in list((places[1] / "adam" / "study_2").iterdir()):
        folder.rename(folder.with_name(folder.name.replace("_jax", "_pytorch")))
    with pytest.raises(
        UsageError, match=r"adam' has results on down in both frameworks, jax in .* and pytorch in "
    ):
        score(*places)


def test_a_file_that_is_no_archive_is_refused_in_few_words(tmp_path):
    (tmp_path / "notes.md").write_text("no archive")
    with (
        pytest.raises(UsageError, match=r"as an archive of results: it is none\. Make one with"),
        archive.unpacked(tmp_path / "notes.md"),
    ):
        pass


def test_errors_name_the_archive_and_not_where_it_was_unpacked(score, places, tmp_path):
    packed = tmp_path / "odd.tar.xz"
    archive.pack(places[1], packed, ["lion"])
    with pytest.raises(
        UsageError, match=r"No submission in '[^']*odd\.tar\.xz' is called 'lino'; the nearest is 'lion'"
    ):
        score(packed, exclude=("lino",))
    with pytest.raises(UsageError, match=r"No trial in '[^']*odd\.tar\.xz' ran a workload"):
        score(with_only_strays(packed, tmp_path))


def with_only_strays(packed, tmp_path):
    """An archive of trials on a workload that the suite has not."""
    root = tmp_path / "strays"
    with archive.unpacked(packed) as folder:
        shutil.copytree(folder / "lion" / "study_0" / "up_jax", root / "lion" / "study_0" / "sideways_jax")
    archive.pack(root, packed)
    return packed


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        ([], [], ["lion", "mini/adam", "mini/lion"]),
        (["lion"], [], ["lion", "mini/adam", "mini/lion"]),
        (["mini/lion"], [], ["lion", "mini/lion"]),
        (["adam"], [], ["lion", "mini/adam"]),
        ([], ["adam"], ["lion", "mini/lion"]),
        ([], ["lion"], ["mini/adam", "mini/lion"]),
        (["lion", "mini/adam"], ["lion"], ["mini/adam"]),
    ],
    ids=str,
)
def test_published_entries_are_chosen_by_name_too(include, exclude, left):
    choice = sources.choose(["lion"], ["mini/adam", "mini/lion"], include, exclude)
    assert [*choice.own, *choice.published] == left


def test_unknown_and_exhaustive_choices_are_refused():
    with pytest.raises(UsageError, match="is called 'mini/adm'; the nearest is 'mini/adam'"):
        sources.choose(["lion"], ["mini/adam"], [], ["mini/adm"])
    with pytest.raises(UsageError, match="leave no submission of lion, mini/adam"):
        sources.choose(["lion"], ["mini/adam"], [], ["lion", "adam"])


def test_a_published_entry_that_is_left_out_sets_no_pace():
    def board(**options):
        given = {"submissions_dir": None, "suite": "algoperf_v05", "compare_to": "algoperf_v05"}
        return score_field.run(Config(bootstrap_samples=0, **given, **options)).board

    names = board().submissions
    left = board(exclude=("caspr_adaptive",))
    assert set(names) - set(left.submissions) == {"algoperf_v05/caspr_adaptive"}
    assert left.submissions[left.order()[0]] == "algoperf_v05/schedule_free_adamw"
    assert f"{max(left.scores):.3f}" == "0.809"
    assert board(include=("algoperf_v05/amos",)).submissions == ("algoperf_v05/amos",)


def test_published_medians_are_chosen_too():
    given = {
        "submissions_dir": None,
        "suite": "algoperf_v05",
        "compare_to": "algoperf_v05",
        "ruleset": "self",
    }
    whole = score_field.run(Config(bootstrap_samples=0, **given)).board
    name = whole.submissions[0]
    left = score_field.run(Config(bootstrap_samples=0, exclude=(name,), **given)).board
    assert left.submissions == whole.submissions[1:]
