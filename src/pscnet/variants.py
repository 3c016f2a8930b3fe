"""Which models are compared: every net in two dresses, and PSCNet with one part at a time taken out or exchanged.

A *variant* is a name for changes to the configuration's sections ``model``, ``training`` and ``samples``. The name
stands in file names: ``build/{run}/models/{variant}_{seed}.safetensors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

#: The nets by the names of the configuration, each with its name for people.
NET_TITLES: dict[str, str] = {
    "pscnet": "PSCNet",
    "mlp": "per-pixel MLP",
    "unet": "U-Net",
    "lstm": "LSTM",
    "tcn": "TCN",
    "resnet": "residual CNN",
    "convlstm": "ConvLSTM",
    "cnn3d": "3-D CNN",
    "random_forest": "random forest",
    "gradient_boosting": "gradient boosting",
}

#: Appended to a net's name where it wears the literature's dress.
LITERATURE = "_literature"

#: In file names, in the place of a seed: the nets of all seeds together.
ENSEMBLE = "ensemble"

#: Keys of the section ``model`` that PSCNet alone has.
OF_PSCNET = ("squeeze_km", "squeeze", "scales")

#: Bands that no net in its own dress sees by default (``model.without_bands``).
NOT_SEEN = ("day",)

#: Sections of the configuration that a variant may change.
CHANGED_SECTIONS = ("model", "training", "samples")

#: Nets that read series of past days.
READ_SEQUENCES = ("lstm", "tcn", "convlstm", "cnn3d")


@dataclass(frozen=True)
class Variant:
    """Changes to sections of the configuration.

    Attributes
    ----------
    title : str
        For people.
    model, training, samples : dict of key to value
    base : str
        Of a part variant: what it differs from in one thing.
    """

    title: str
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, Any] = field(default_factory=dict)
    base: str = "pscnet"


def net_variants(names: Sequence[str]) -> dict[str, Variant]:
    """Every net in its own dress, then in the literature's."""
    own = {name: Variant(name, {"name": name}) for name in names}
    other = {
        f"{name}{LITERATURE}": Variant(
            f"{name}, as in the literature", {"name": name, "dress": "literature", "without_bands": []}
        )
        for name in names
    }
    return own | other


def part_variants(bands: Sequence[str]) -> dict[str, Variant]:
    """PSCNet with one thing changed: the rows of the ablation table.

    What cannot be changed alone (the kriged innovation reads the attention's window, and would stand in for retrievals
    of another form) is changed in PSCNet without kriged innovation, which is then its ``base``.

    Parameters
    ----------
    bands : names of MFTF's bands
    """

    def pscnet(title: str, **model: Any) -> Variant:
        return Variant(title, {"name": "pscnet"} | model)

    def unkriged(title: str, samples: Mapping[str, Any] = MappingProxyType({}), **model: Any) -> Variant:
        changes = {"name": "pscnet", "kriged": False} | model
        return Variant(f"{title} and no kriged innovation", changes, samples=samples, base="pscnet_without_kriged")

    made = {
        "without_gates": pscnet("MFTF: without gates", gates=False),
        "with_band_day": pscnet("MFTF: with the band day", without_bands=[]),
        **{
            f"without_band_{name.replace('.', '_')}": pscnet(
                f"MFTF: without the band {name} either", without_bands=[*NOT_SEEN, name]
            )
            for name in bands
            if name not in NOT_SEEN
        },
        "without_kriged": pscnet("SMAP: without kriged innovation", kriged=False),
        "innovations_only": unkriged("SMAP: innovations by fixed kernels", retrievals="innovations"),
        "smoothed_only": unkriged("SMAP: smoothed retrievals", retrievals="smoothed"),
        "kriged_only": pscnet("SMAP: kriged innovation alone", retrievals="none"),
        "without_smap": pscnet("SMAP: none", kriged=False, retrievals="none"),
        "without_skip": pscnet("without the background's skip", skip=False),
        "squeeze_none": pscnet("SE: none", squeeze="none"),
        "squeeze_global": pscnet("SE: over the whole tile", squeeze="global"),
        "squeeze_plain": pscnet("SE: without fine anomalies", squeeze="plain"),
        "without_36km": pscnet("scales: without 36 km", scales=["18km", "10km"]),
        "without_18km": pscnet("scales: without 18 km", scales=["36km", "10km"]),
        "only_10km": pscnet("scales: 10 km alone", scales=["10km"]),
        "supervised_10km": Variant(
            "supervision: 10 km field alone", {"name": "pscnet"}, {"scale_weights": [0.0, 0.0, 1.0]}
        ),
        "loss_joint": Variant("loss: joint likelihood", {"name": "pscnet"}, {"loss": "joint"}),
        "loss_huber": Variant("loss: Huber", {"name": "pscnet"}, {"loss": "huber"}),
        "sampling_plain": Variant("sampling: every overpass once", {"name": "pscnet"}, {"sampling": "plain"}),
        "window_3_days": unkriged("window: 3 days", {"window_days": 3.0}),
        "causal": Variant("past retrievals alone", {"name": "pscnet"}, {}, {"causal": True}),
    }
    return {f"pscnet_{name}": variant for name, variant in made.items()}


def part_of(name: str) -> Variant | None:
    """The part variant of that name; None where there is none. A band is known by the naming rule alone."""
    band = name.removeprefix("pscnet_without_band_")
    return part_variants([] if band == name else [band.replace("_", ".")]).get(name)
