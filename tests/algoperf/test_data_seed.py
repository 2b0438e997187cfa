"""Secret seeds of data: what is derived from them, and that only the hash is shown."""

import pytest

from algoperf import data_seed
from algoperf.spec import UsageError

HASH = "sealed:b24751c4e803bbaae8010a939447e750268f35a14c93a68c7383e2b3064b7a29"


@pytest.mark.parametrize("given", [None, "0", " 0\n"])
def test_no_seed_and_zero_are_the_public_data(given):
    assert data_seed.parse(given) is None


def test_a_seed_gives_the_same_hash_and_data_on_every_machine():
    seed = data_seed.parse("1")
    assert seed.setting == HASH
    assert seed.instance == HASH.removeprefix("sealed:")[:16]
    assert seed.entropy == 5328083651005446160183715694526419823641802327379416168826009702769227936138
    other = data_seed.parse("a much longer seed, of words")
    assert other.entropy != seed.entropy
    assert other.instance != seed.instance


def test_the_sealed_form_names_data_and_does_not_make_them():
    assert data_seed.parse(HASH) == data_seed.DataSeed(HASH.removeprefix("sealed:"), None)


def test_a_seed_may_stand_in_a_file(tmp_path):
    path = tmp_path / "seed.txt"
    path.write_text("1\n")
    assert data_seed.parse(f"@{path}") == data_seed.parse("1")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("sealed:17", "is no sealed seed: that is 'sealed:' with the 64 hexadecimal digits"),
        (HASH[:-1] + "G", "is no sealed seed"),
        ("@/nowhere/seed.txt", "cannot be read .No such file or directory.: give a file"),
        ("  ", "is empty"),
    ],
)
def test_what_is_no_seed_is_refused(given, words):
    with pytest.raises(UsageError, match=words):
        data_seed.parse(given)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "seed.txt").write_text("\n")
    with pytest.raises(UsageError, match=r"seed\.txt is empty"):
        data_seed.parse(f"@{tmp_path}/seed.txt")


def test_only_the_sealed_form_and_the_public_data_are_no_secrets():
    assert [data_seed.is_secret(given) for given in (None, "", "0", HASH)] == [False] * 4
    assert all(map(data_seed.is_secret, ("7", "@seed.txt", "words")))


def test_a_new_seed_is_not_guessable_and_short_or_repeated_ones_are():
    assert not data_seed.is_guessable(data_seed.new())
    assert all(map(data_seed.is_guessable, ("17", "1" * 40, "secret")))


def test_the_command_prints_a_new_seed_or_the_sealed_form_of_one(capsys):
    data_seed.main(["data_seed"])
    assert not data_seed.is_guessable(capsys.readouterr().out.strip())
    data_seed.main(["data_seed", "1"])
    assert capsys.readouterr().out == f"{HASH}\n"
    with pytest.raises(UsageError, match="0 stands for the public data"):
        data_seed.main(["data_seed", "0"])
