"""Every loader of this plugin keeps the contract, on a miniature of its corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from affectzoo.data.corpus import is_corpus
from affectzoo.registry import registry
from affectzoo.testing import checks
from affectzoo.testing.datasets import CHECKS
from affectzoo_datasets import affectzoo_datasets
from tests.plugins.datasets.miniatures import (
    aff_wild2,
    avec,
    biovid,
    ceap_360vr,
    crema_d,
    faces_folder,
    ravdess,
    ravdess_features,
    recola,
    semaine_avec,
    unbc_mcmaster,
)

#: Data sets that prepare rows for a model by themselves have no clips to check.
SPECS = {spec.name: spec for spec in affectzoo_datasets() if is_corpus(registry().find("dataset", spec.name).resolve())}

#: What writes a small folder for each loader.
WRITERS: dict[str, Callable[[Path], object]] = {
    "aff-wild2": aff_wild2.write_aff_wild2,
    "avec2013": avec.write_avec2013,
    "avec2014": avec.write_avec2014,
    "biovid": biovid.write_biovid,
    "ceap-360vr": ceap_360vr.write_ceap,
    "crema-d": crema_d.write_crema_d,
    "faces-folder": lambda root: faces_folder.write_table(root, faces_folder.rows()),
    "ravdess": ravdess.write_ravdess,
    "ravdess-features": ravdess_features.write_features,
    "recola": recola.write_avec,
    "semaine-avec": semaine_avec.write_semaine,
    "unbc-mcmaster": unbc_mcmaster.write_unbc,
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> Callable[[str], Path]:
    """A function that gives the miniature of a corpus, written once."""
    written: dict[str, Path] = {}

    def root_of(name: str) -> Path:
        if name not in written:
            written[name] = tmp_path_factory.mktemp(name)
            WRITERS[name](written[name])
        return written[name]

    return root_of


@pytest.mark.parametrize("check", [name for name, _, _ in CHECKS])
@pytest.mark.parametrize("name", SPECS)
def test_contract(name, check, roots):
    (made,) = checks(SPECS[name], config={"root": str(roots(name))}, only=[check])
    made()
