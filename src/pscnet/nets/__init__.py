"""What the net computes: one model a file, torch only.

>>> from pscnet.nets import PSCNet
"""

from pscnet.nets.pscnet import PSCNet, PSCNetSpec

__all__ = ["PSCNet", "PSCNetSpec"]
