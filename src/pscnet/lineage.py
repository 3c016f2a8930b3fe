"""What is a data set made of: two that have anything in common have errors in common."""

from __future__ import annotations

from collections.abc import Iterable

#: What the method itself is made of.
SMAP, ERA5_LAND = "SMAP", "ERA5-Land"

#: Beginnings, in small letters and digits alone, of names of the same origin: products of SMAP, and reanalyses whose
#: meteorology drives ERA5-Land (Munoz-Sabater et al. 2021, doi:10.5194/essd-13-4349-2021).
_ALIASES = {SMAP: ("smap", "spl3smp", "spl2smp", "spl4smgp"), ERA5_LAND: ("era5",)}


def lineage(made_of: Iterable[str]) -> frozenset[str]:
    """Origins by one name each: SMAP L3, smap and SPL3SMP_E are SMAP, ERA5 and ERA5-Land are ERA5-Land."""
    return frozenset(_origin(name) for name in made_of)


def _origin(name: str) -> str:
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    for origin, beginnings in _ALIASES.items():
        if plain.startswith(beginnings):
            return origin
    return plain.upper()
