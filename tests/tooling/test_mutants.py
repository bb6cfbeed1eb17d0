"""The mutants still fit the code; `make mutants` carries them out."""

import ast

import pytest

from tests.mutants.found import ROOT, find_mutants

MUTANTS = find_mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.guard}")
def test_guard_stands_once_in_its_file_and_the_mutant_is_python(mutant):
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    if mutant.file.endswith(".py"):
        ast.parse(text.replace(mutant.old, mutant.new))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.guard}")
def test_tests_of_a_mutant_exist(mutant):
    paths = [word.partition("::")[0] for word in mutant.tests.split() if word.startswith("tests/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)
