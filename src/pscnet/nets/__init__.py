"""What the net computes: one model a file, torch only; which one, the configuration says (``model.name``).

>>> net = make_net(NetSpec("pscnet", predictors=12, bands=5, statics=16, window_days=8.0))
"""

from pscnet.nets.frame import Net, NetSpec
from pscnet.nets.pscnet import PSCNet
from pscnet.nets.registry import NETS, UnknownNetError, make_net, require_known

__all__ = ["NETS", "Net", "NetSpec", "PSCNet", "UnknownNetError", "make_net", "require_known"]
