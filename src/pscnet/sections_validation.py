"""Groups of keys of the configuration about validation."""

from __future__ import annotations

from pydantic import Field

from pscnet.sections import Section


class Validation(Section):
    """How the product is judged."""

    draws: int = Field(1000, ge=100, le=20000, description="Draws of the bootstrap that intervals come from.")
