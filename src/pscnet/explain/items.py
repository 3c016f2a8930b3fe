"""Which inputs can be exchanged between samples, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pscnet.nets.frame import SEASON, Batch, NetSpec

#: Fields of a batch that describe the set of retrievals.
RETRIEVAL_FIELDS = ("age", "weight", "value", "innovation")


@dataclass(frozen=True)
class Item:
    """An input, or some together, whose importance is asked for.

    Attributes
    ----------
    name : str
    kind : {"predictors", "predictor", "band", "channel", "static", "season", "background", "smap"}
    channels : tuple of int
        Channels of :attr:`Batch.bands`.
    sequence : tuple of int
        Channels of :attr:`Batch.sequence`.
    """

    name: str
    kind: str
    channels: tuple[int, ...] = ()
    sequence: tuple[int, ...] = ()


def list_items(channels: Sequence[str], spec: NetSpec, kriged: bool = False) -> list[Item]:
    """Everything that a net reads and that can be exchanged.

    The names of bands, predictors and channels are those of ``channels``; the others are ``predictors`` (all bands of
    all), ``static``, ``season`` and, in the own dress, ``background``, ``smap`` (all of it), ``smap_past``,
    ``smap_future`` and ``smap_kriged``.

    Parameters
    ----------
    channels : names ``predictor:band``
    spec : NetSpec
    kriged : bool
        Whether batches hold kriged innovations.
    """
    pairs = [tuple(name.split(":")) for name in channels]
    predictors, bands = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True))
    listed = [
        Item(
            name,
            "predictor",
            tuple(i for i, pair in enumerate(pairs) if pair[0] == name),
            (position, len(predictors) + position),
        )
        for position, name in enumerate(predictors)
    ]
    listed += [Item(name, "band", tuple(i for i, pair in enumerate(pairs) if pair[1] == name)) for name in bands]
    listed += [Item(name, "channel", (position,)) for position, name in enumerate(channels)]
    listed += [Item("predictors", "predictors", tuple(range(len(pairs))), tuple(range(2 * len(predictors))))]
    listed += [Item(name, name) for name in ("static", "season")]
    if spec.own:
        listed += [Item("background", "background"), Item("smap", "smap")]
        listed += [Item(f"smap_{which}", "smap") for which in ("past", "future", *(["kriged"] if kriged else []))]
    return listed


def exchange(own: Batch, donor: Batch, item: Item) -> Batch:
    """``own`` with one item of ``donor`` in place of its own, sample by sample."""
    if item.channels:
        bands, sequence = own.bands.clone(), own.sequence
        bands[:, item.channels] = donor.bands[:, item.channels]
        if sequence is not None and item.sequence:
            sequence = sequence.clone()
            sequence[:, :, item.sequence] = donor.sequence[:, :, item.sequence]
        return replace(own, bands=bands, sequence=sequence)
    if item.name == "static":
        return replace(own, statics=torch.cat([donor.statics[:, :-SEASON], own.statics[:, -SEASON:]], 1))
    if item.name == "season":
        return replace(own, statics=torch.cat([own.statics[:, :-SEASON], donor.statics[:, -SEASON:]], 1))
    fields = {
        "background": ("background",),
        "smap": (*RETRIEVAL_FIELDS, "kriged"),
        "smap_kriged": ("kriged",),
    }.get(item.name)
    if fields:
        return replace(own, **{name: getattr(donor, name) for name in fields})
    past = item.name == "smap_past"
    joined = {name: torch.cat([getattr(own, name), getattr(donor, name)], 1) for name in RETRIEVAL_FIELDS}
    kept, taken = (own.age < 0) != past, (donor.age < 0) == past
    used = torch.cat([kept, taken], 1)
    return replace(own, **{name: torch.where(used, values, 0.0) for name, values in joined.items()})
