"""Draws of held-out variants: the official one, sealed ones, files that commands take."""

import hashlib
import json
import subprocess
import sys

import pytest
from harness import ROOT

from algoperf import held_out, suites
from algoperf.spec import UsageError
from scoring import score_field

OFFICIAL_SEED = 3438810845


@pytest.mark.parametrize("name", ["algoperf_v05", "algoperf_v06"])
def test_the_official_seed_draws_the_official_variants_r9_7(name):
    suite = suites.load(name)
    drawn = held_out.drawn(suite.held_out_pools, OFFICIAL_SEED)
    assert list(drawn) == [
        "librispeech_conformer_layernorm",
        "imagenet_resnet_large_bn_init",
        "ogbg_model_size",
        "wmt_glu_tanh",
        "fastmri_tanh",
        "criteo1tb_embed_init",
    ]
    assert drawn == dict(suites.load("algoperf_v05").held_out)
    assert held_out.drawn(suite.held_out_pools, OFFICIAL_SEED + 1) != drawn


def test_the_shipped_mini_suite_with_held_out_variants_is_a_draw():
    mini, drawn = suites.load("mini"), suites.load("mini_held_out")
    assert drawn.held_out == held_out.drawn(mini.held_out_pools, OFFICIAL_SEED)
    for fact in ("workloads", "rulesets", "r_max", "frugal"):
        assert getattr(drawn, fact) == getattr(mini, fact)


@pytest.mark.parametrize("name", [name for name in suites.names() if suites.load(name).held_out_pools])
def test_every_pool_has_variants_of_its_bases_with_targets_of_their_own(name):
    suite = suites.load(name)
    for pool in suite.held_out_pools.values():
        for variant, base in pool.items():
            assert variant.startswith(base.removesuffix("_mini") + "_")
            own, its = suite.targets(variant), suite.targets(base)
            assert (own.validation_target, own.test_target) != (its.validation_target, its.test_target)


def test_a_draw_is_a_suite_file_with_the_numbers_of_its_suite(tmp_path):
    suite = suites.load("algoperf_v05")
    path = tmp_path / "draw.json"
    drawn, digest = held_out.write(path, suite, OFFICIAL_SEED)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    found = suites.load(str(path))
    assert found.held_out == suite.held_out == drawn
    assert (found.rulesets, found.r_max, found.workloads) == (suite.rulesets, suite.r_max, suite.workloads)
    for name in suite.scored_names():
        assert found.targets(name) == suite.targets(name)


def test_scoring_and_campaigns_take_a_drawn_file(tmp_path):
    official, mini = tmp_path / "official.json", tmp_path / "mini.json"
    held_out.write(official, suites.load("algoperf_v05"), OFFICIAL_SEED)
    boards = [
        score_field.run(
            score_field.Config(
                submissions_dir=None,
                suite=name,
                compare_to="algoperf_v05",
                official=True,
                bootstrap_samples=0,
            )
        ).board
        for name in (str(official), "algoperf_v05")
    ]
    assert boards[0].submissions == boards[1].submissions
    assert list(boards[0].scores) == list(boards[1].scores)
    drawn, _ = held_out.write(mini, suites.load("mini"), 1)
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "run_benchmark.py"), f"--suite={mini}", "--ruleset=self", "--plan"),
            *(
                "--framework=jax",
                "--submissions=reference_algorithms/nadamw",
                f"--experiment_dir={tmp_path}/runs",
            ),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in drawn:
        assert f"nadamw/study_0/{name}_jax/trial_1" in done.stdout


def test_a_draw_is_never_replaced(tmp_path):
    path = tmp_path / "draw.json"
    path.write_text("{}")
    with pytest.raises(UsageError, match="is there already"):
        held_out.write(path, suites.load("mini"), 1)
    with pytest.raises(UsageError, match=r"must end in \.json"):
        held_out.write(tmp_path / "draw", suites.load("mini"), 1)
    with pytest.raises(UsageError, match="No such file or directory"):
        held_out.write(tmp_path / "nowhere" / "draw.json", suites.load("mini"), 1)


def test_a_sealed_draw_is_that_which_was_announced_until_something_changes(tmp_path):
    path = tmp_path / "sealed.json"
    suite = suites.load("algoperf_v05")
    drawn, digest = held_out.write(path, suite, 7, sealed=True)
    assert path.stat().st_mode & 0o077 == 0
    found = held_out.reveal(path, digest)
    assert (found.problems, found.held_out, found.source.seed) == ((), drawn, 7)
    assert len(found.source.salt) == 64
    other = tmp_path / "other.json"
    assert held_out.write(other, suite, 7, sealed=True)[1] != digest, "equal seeds must not give equal hashes"

    def problems(**changes):
        changed = tmp_path / "changed.json"
        changed.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        # The hash of the changed file: whoever published that one cheated from the beginning.
        return held_out.reveal(changed, held_out.hash_of(changed)).problems

    assert "and " + "0" * 64 + " was published" in held_out.reveal(path, "0" * 64).problems[0]
    assert "its seed 7 draws" in problems(held_out={"ogbg_silu": "ogbg"})[0]
    assert "its r_max are not those of suite algoperf_v05" in problems(r_max=8)[0]
    targets = json.loads(path.read_text())["targets"]
    targets["wmt"]["validation_target"] = 20.0
    assert "its targets of wmt are not those" in problems(targets=targets)[0]
    assert "no salt" in problems(source={"draw": "algoperf_v05", "seed": 7})[0]


def test_wrong_seeds_hashes_and_files_are_named(tmp_path):
    for seed in (0, -1, 2**64):
        with pytest.raises(UsageError, match=f"from 1 to {2**64 - 1}, got {seed}"):
            held_out.check_seed(seed)
    assert held_out.check_seed(None) != held_out.check_seed(None)
    path = tmp_path / "draw.json"
    held_out.write(path, suites.load("mini"), 3)
    with pytest.raises(UsageError, match="64 hexadecimal digits; got 'abc'"):
        held_out.reveal(path, "abc")
    path.write_text((ROOT / "algoperf" / "suites" / "mini.json").read_text())
    with pytest.raises(UsageError, match="is no draw: 'source' must be"):
        held_out.reveal(path, "0" * 64)
    with pytest.raises(UsageError, match="No suite file"):
        held_out.reveal(tmp_path / "nothing.json", "0" * 64)
    with pytest.raises(UsageError, match=r"'demo' has no pools .* algoperf_v05, algoperf_v06, mini, "):
        held_out.content(suites.load("demo"), 1)


def drawing(*flags, folder):
    return subprocess.run(
        [sys.executable, str(ROOT / "draw_held_out.py"), *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "Name a suite with --suite"),
        (("--suite=mnii",), "the nearest is 'mini'"),
        (("--suite=mini", "--seed=many"), "many"),
        (("--suite=mini", "--hash=1"), "--hash belongs to --reveal"),
        (("--reveal=a.json", "--commit"), "leave out --commit"),
        (("--reveal=a.json",), "--reveal needs the hash"),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(flags, message, tmp_path):
    done = drawing(*flags, folder=tmp_path)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_seals_and_reveals(tmp_path):
    done = drawing("--suite=mini", "--commit", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "mini_held_out.json"
    digest = held_out.hash_of(path)
    assert digest in done.stdout
    assert not any(name in done.stdout for name in suites.load(str(path)).held_out), "it is sealed"
    done = drawing(f"--reveal={path}", f"--hash={digest}", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == list(suites.load(str(path)).held_out)
    done = drawing(f"--reveal={path}", f"--hash={'0' * 64}", folder=tmp_path)
    assert done.returncode == 1
    assert "is not the draw that was announced" in done.stderr
