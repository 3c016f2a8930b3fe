"""Unfinished downloads of SMAP do not fill the disk."""

from __future__ import annotations

import pytest

from pscnet.sources.fetch import smap_parts
from pscnet.sources.fetch.granules import PRODUCTS
from pscnet.sources.fetch.smap_parts import bound, clean

STEMS = ("SMAP_L3_SM_P_E_20160203_R19240_001", "SMAP_L3_SM_P_E_20160303_R19240_001", "SMAP_L3_SM_P_20160203_R19240_001")


@pytest.fixture
def folder(tmp_path):
    for stem in STEMS:
        (tmp_path / f"{stem}.h5.part").write_bytes(b"12345")
    return tmp_path


def stems(folder) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in folder.iterdir())


def test_what_is_left_of_a_month_goes(folder):
    clean(folder, PRODUCTS["SPL3SMP_E"], "2016-02")
    assert stems(folder) == sorted(STEMS[1:])


@pytest.mark.parametrize(("limit", "product", "kept"), [(10, "SPL3SMP_E", 3), (9, "SPL3SMP_E", 2), (0, "SPL3SMP", 3)])
def test_a_failed_month_keeps_what_is_within_the_limit(folder, monkeypatch, limit, product, kept):
    monkeypatch.setattr(smap_parts, "LIMIT", limit)
    bound(folder, PRODUCTS[product], "2016-02")
    assert len(stems(folder)) == kept
