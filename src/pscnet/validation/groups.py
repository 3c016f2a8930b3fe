"""What kind of method is it: a reference, learnt in the literature's dress or in ours, PSCNet, or less a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pscnet.validation import METHODS, PRODUCT
from pscnet.variants import ENSEMBLE, part_of

REFERENCE, LITERATURE, OWN, OURS, ABLATION = "reference", "literature", "own", "pscnet", "ablation"

#: Groups of the main table in its order, with their headings.
GROUPS = {
    REFERENCE: "References without training",
    LITERATURE: "Learnt, as the literature does it",
    OWN: "Learnt, with PSCNet's input and supervision",
    OURS: "PSCNet",
    ABLATION: "PSCNet without one part",
}

_LITERATURE_SUFFIX = "_literature"
_ENSEMBLE_SUFFIX = f"_{ENSEMBLE}"


def ensemble_of(name: str) -> str:
    """The method that all seeds of a net are together."""
    return f"{name}{_ENSEMBLE_SUFFIX}"


#: PSCNet's seeds as one method.
TOGETHER = ensemble_of(PRODUCT)

#: Names that do not follow from replacing underscores.
_SPOKEN = {
    PRODUCT: "PSCNet", "mlp": "per-pixel net", "unet": "U-Net", "lstm": "LSTM", "convlstm": "ConvLSTM", "tcn": "TCN",
    "resnet": "residual CNN", "cnn3d": "3-D CNN",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A row of the tables.

    Attributes
    ----------
    label : str
        Name for people.
    group : str
        Key of :data:`GROUPS`.
    parameters : int, optional
        Learnt numbers.
    seconds : float, optional
        Wall time of training [s], mean over seeds.
    base : str
        Of an ablation: the method that it is less a part of.
    """

    label: str
    group: str
    parameters: int | None = None
    seconds: float | None = None
    base: str = PRODUCT


def entry_of(name: str, parameters: int | None = None, seconds: float | None = None) -> Entry:
    """The row of a method, from its name by the naming rule of the variants.

    A key of :data:`pscnet.validation.METHODS` but the product is a reference; ``pscnet`` and ``pscnet_ensemble`` are
    PSCNet; ``*_literature`` wears the literature's dress; another ``pscnet_*`` is an ablation; the rest is learnt.
    """
    if name in METHODS and name != PRODUCT:
        return Entry(METHODS[name], REFERENCE, parameters, seconds)
    if name in (PRODUCT, TOGETHER):
        group = OURS
    elif name.endswith(_LITERATURE_SUFFIX):
        group = LITERATURE
    else:
        group = ABLATION if name.startswith(f"{PRODUCT}_") else OWN
    if group == ABLATION and (part := part_of(name)) is not None:
        return Entry(part.title, group, parameters, seconds, part.base)
    label = _label(name.removesuffix(_LITERATURE_SUFFIX))
    # The same net wears both dresses: where groups are not drawn, the label has to tell them apart.
    return Entry(f"{label} (literature)" if group == LITERATURE else label, group, parameters, seconds)


def together(name: str) -> bool:
    """Whether a row is an ensemble: single nets are compared with single nets, and ensembles with ensembles."""
    return name.endswith(_ENSEMBLE_SUFFIX)


def _label(name: str) -> str:
    for stem, spoken in _SPOKEN.items():
        if name == stem or name.startswith(f"{stem}_"):
            rest = name[len(stem) :].strip("_").replace("_", " ")
            return f"{spoken}, {rest}" if rest else spoken
    return name.replace("_", " ")


def entries_of(names: object, given: Mapping[str, Entry] | None = None) -> dict[str, Entry]:
    """Rows of the methods ``names``, those ``given`` as they are."""
    return {str(name): (given or {}).get(str(name)) or entry_of(str(name)) for name in names}  # type: ignore[attr-defined]
