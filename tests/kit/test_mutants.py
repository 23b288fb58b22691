from pathlib import Path
from shutil import copytree

import pytest

from tests.kit.mutants import MUTANTS, PACKAGE, ROOT, Mutant, mutate


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_applies(tmp_path: Path, mutant: Mutant) -> None:
    """A change of the engine must keep `make mutants` working."""
    package = tmp_path / PACKAGE
    if (ROOT / PACKAGE / mutant.where).is_dir():
        copytree(ROOT / PACKAGE, package)
    else:
        (package / mutant.where).parent.mkdir(parents=True)
        (package / mutant.where).write_text((ROOT / PACKAGE / mutant.where).read_text())
    mutate(package, mutant)
    for test in mutant.tests:
        assert (ROOT / "tests" / test.partition("::")[0]).is_file()


def test_there_are_at_least_thirty() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
