"""What carries the answer? The importance of every input, and where SMAP and where ERA5-Land carry the fields.

Nothing here reads a truth: importance is measured on left-out retrievals, and the maps take an answer apart.
"""


class ExplainError(ValueError):
    """A net, or samples, of which an explanation cannot be made."""
