"""Which channel: from regridded files to the net's tensors and back, and the normaliser."""

from __future__ import annotations


class SampleError(ValueError):
    """Inputs of the net that do not fit together; the message names the file or the channel."""
