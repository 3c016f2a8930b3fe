"""Which weights: one checkpoint file, loadable without executing code (safetensors with a JSON header).

>>> checkpoint = read_checkpoint("build/demo/models/pscnet_0.safetensors")
>>> net = checkpoint.net()
>>> net.eval()
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pscnet.grids import Grid
from pscnet.nets import Net, NetSpec, UnknownNetError, make_net, require_known
from pscnet.samples.normaliser import Normaliser
from pscnet.sources.atomic import replacing

#: Version of the layout; a reader refuses others.
LAYOUT = 2
_KEY = "pscnet"

#: Attributes of a checkpoint that lie in the header as they are.
_KEPT = (
    "fine", "coarse", "time_scales_days", "window_days", "leave_out_hours", "split", "buffer_days", "variance_scale",
    "scores", "config_hash", "covariance", "causal",
)  # fmt: skip


class CheckpointError(ValueError):
    """A file that is no checkpoint, or one made for other data."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained net and all that is needed to use it.

    Attributes
    ----------
    spec : NetSpec
        Names the net.
    weights : dict of parameter name to Tensor
    normaliser : Normaliser
    fine, coarse : dict
        :meth:`pscnet.grids.Grid.describe` of both grids.
    time_scales_days : list of float [day]
    window_days, leave_out_hours : float
    split : dict
        Blocks of time of each part.
    buffer_days : float [day]
        Gap that training kept between samples of different parts.
    variance_scale : float
        Factor that makes the predicted variance fit the validation residuals.
    scores : dict
        Losses of the kept epoch.
    config_hash : str
    covariance : dict or None
        Parameters of the covariance behind the kriged innovation, where the net reads it.
    causal : bool
        Whether the net was trained on past retrievals alone.
    """

    spec: NetSpec
    weights: dict[str, Tensor]
    normaliser: Normaliser
    fine: dict
    coarse: dict
    time_scales_days: list[float]
    window_days: float
    leave_out_hours: float
    split: dict
    buffer_days: float
    variance_scale: float
    scores: dict = field(default_factory=dict)
    config_hash: str = ""
    covariance: dict | None = None
    causal: bool = False

    def net(self) -> Net:
        """The net with its weights."""
        net = make_net(self.spec)
        net.load_state_dict(self.weights)
        return net

    def require(
        self, path: str | Path, fine: Grid, coarse: Grid, channels: Sequence[str], model: str | None = None
    ) -> None:
        """Refuse data that the net was not trained for, and another net than ``model`` where that is given.

        Raises
        ------
        CheckpointError
            Naming the difference.
        """
        if model is not None and model != self.spec.name:
            raise CheckpointError(
                f"{path}: a checkpoint of {model!r} expected, found one of {self.spec.name!r}; delete it and train "
                f"again, or set model.name: {self.spec.name}"
            )
        wanted = {"fine grid": fine.describe(), "coarse grid": coarse.describe(), "channels": list(channels)}
        found = {"fine grid": self.fine, "coarse grid": self.coarse, "channels": list(self.normaliser.channels)}
        for what, expected in wanted.items():
            if found[what] != expected:
                raise CheckpointError(
                    f"{path}: {what} of the data: {_difference(expected, found[what])}; train again for these data "
                    "(snakemake does when the checkpoint is deleted), or set the configuration back"
                )

    def require_beside(self, path: str | Path, first: Checkpoint, first_path: str | Path) -> None:
        """Refuse a member that does not go with the first one of an ensemble.

        Raises
        ------
        CheckpointError
            Naming what differs.
        """
        alike = (
            "spec", "time_scales_days", "window_days", "leave_out_hours", "split", "buffer_days", "covariance",
            "causal",
        )  # fmt: skip
        differing = [name for name in alike if getattr(self, name) != getattr(first, name)]
        mine, other = self.normaliser.arrays(), first.normaliser.arrays()
        differing += ["normaliser"] * any(not np.array_equal(mine[k], other[k], equal_nan=True) for k in mine)
        if differing:
            raise CheckpointError(
                f"{path}: a member trained as {first_path} was expected, {', '.join(differing)} differ; delete the "
                "older one and train again"
            )

    def write(self, path: str | Path) -> None:
        """Write the file (atomic)."""
        tensors = {f"net.{name}": tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        for name, array in self.normaliser.arrays().items():
            tensors[f"normaliser.{name}"] = torch.from_numpy(array.copy())
        header = {
            "layout": LAYOUT,
            "model": self.spec.name,
            "spec": {name: value for name, value in self.spec.as_dict().items() if name != "name"},
            "normaliser": self.normaliser.header(),
            **{name: getattr(self, name) for name in _KEPT},
        }
        with replacing(path) as part:
            save_file(tensors, str(part), metadata={_KEY: json.dumps(header, sort_keys=True)})


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    CheckpointError
        When the file is damaged, no checkpoint, or of another layout or an unknown net.
    """
    tensors, header = read_tensors(path)
    if header.get("layout") != LAYOUT:
        raise CheckpointError(f"{path}: checkpoint layout {LAYOUT} expected, found {header.get('layout')}; train again")
    try:
        require_known(header["model"])
    except UnknownNetError as error:
        raise CheckpointError(f"{path}: {error}; train again") from error
    arrays = {k.removeprefix("normaliser."): v.numpy() for k, v in tensors.items() if k.startswith("normaliser.")}
    # Files of before the buffer was kept: no configuration allows a shorter one than the window.
    kept = {"buffer_days": header["window_days"]} | header
    return Checkpoint(
        spec=NetSpec(header["model"], **header["spec"]),
        weights={k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")},
        normaliser=Normaliser.from_arrays(arrays, header["normaliser"]),
        **{name: kept[name] for name in _KEPT},
    )


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON header of a safetensors file of this project.

    Raises
    ------
    CheckpointError
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path}: a checkpoint of this package expected, found something else ({error}); delete it and train again"
        ) from error


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors with a JSON header (atomic)."""
    with replacing(path) as part:
        save_file(dict(tensors), str(part), metadata={_KEY: json.dumps(header, sort_keys=True)})


def _difference(expected: Any, found: Any) -> str:
    if isinstance(expected, list):
        missing = [name for name in expected if name not in found]
        extra = [name for name in found if name not in expected]
        if missing or extra:
            return f"the checkpoint lacks {', '.join(missing) or 'none'} and has besides {', '.join(extra) or 'none'}"
        return f"order {expected} expected, found {found}"
    parts = [
        f"{key} {expected[key]} expected, found {found.get(key)}" for key in expected if expected[key] != found.get(key)
    ]
    return "; ".join(parts)
