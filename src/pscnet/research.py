"""Which worlds: the configurations of a comparison over several simulated worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Groups of worlds in the file: those that are averaged, and the controls.
GROUPS = ("worlds", "controls")


def settings_of(research: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The configuration of each world, by the name of its run.

    Parameters
    ----------
    research : mapping
        ``common``, ``worlds`` and ``controls`` as in ``config/research.yaml``.
    base : mapping
        ``config/config.yaml``.
    """
    made = {}
    for group in GROUPS:
        for run, changes in (research.get(group) or {}).items():
            made[run] = overlaid(overlaid(base, research.get("common", {})), changes) | {"run": run}
    return made


def overlaid(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``changes`` on top, section by section."""
    made = dict(base)
    for key, value in changes.items():
        inner = made.get(key)
        made[key] = overlaid(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return made
