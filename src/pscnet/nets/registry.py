"""Which nets there are, by the names that configuration, files and checkpoints give them."""

from __future__ import annotations

import difflib

from pscnet.nets.cnn3d import CNN3D
from pscnet.nets.convlstm import ConvLSTM
from pscnet.nets.frame import Net, NetSpec
from pscnet.nets.lstm import LSTM
from pscnet.nets.mlp import MLP
from pscnet.nets.pscnet import PSCNet
from pscnet.nets.resnet import ResNet
from pscnet.nets.tcn import TCN
from pscnet.nets.trees import GradientBoosting, RandomForest
from pscnet.nets.unet import UNet

#: Every net by the name that configuration, files and checkpoints give it.
NETS: dict[str, type[Net]] = {
    "pscnet": PSCNet,
    "mlp": MLP,
    "unet": UNet,
    "lstm": LSTM,
    "tcn": TCN,
    "resnet": ResNet,
    "convlstm": ConvLSTM,
    "cnn3d": CNN3D,
    "random_forest": RandomForest,
    "gradient_boosting": GradientBoosting,
}


class UnknownNetError(ValueError):
    """A name that no net has."""


def make_net(spec: NetSpec) -> Net:
    """An untrained net.

    Parameters
    ----------
    spec : NetSpec

    Raises
    ------
    UnknownNetError
    ValueError
        See :class:`pscnet.nets.sequence.SequenceNet`.
    """
    require_known(spec.name)
    return NETS[spec.name](spec)


def require_known(name: str) -> None:
    """Refuse a name that no net has.

    Raises
    ------
    UnknownNetError
        Saying which name is nearest.
    """
    if name not in NETS:
        alike = (difflib.get_close_matches(name, NETS, 1, 0.0) or [*NETS])[0]
        raise UnknownNetError(f"{name!r} is no net; the nearest is {alike!r} (valid: {', '.join(NETS)})")
