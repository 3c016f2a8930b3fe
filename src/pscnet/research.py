"""Which worlds: the configurations of a comparison over several simulated worlds, and what is compared in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from pscnet.plan import Plan

#: Groups of worlds in the file: those that are averaged, and the controls.
GROUPS = ("worlds", "controls")


@dataclass(frozen=True)
class Research:
    """A comparison over worlds.

    Attributes
    ----------
    document : mapping
        ``config/research.yaml``.
    base : mapping
        ``config/config.yaml``.
    """

    document: Mapping[str, Any]
    base: Mapping[str, Any]

    @classmethod
    def read(cls, folder: str | Path) -> Research:
        """Read both files from the folder of configurations."""
        paths = (Path(folder) / f"{name}.yaml" for name in ("research", "config"))
        return cls(*(yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths))

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """See :func:`settings_of`."""
        return settings_of(self.document, self.base)

    def comparison(self, table: str, group: str) -> dict[str, dict[str, list[str]]]:
        """World of a group to method to files; see :meth:`pscnet.plan.Plan.comparison`.

        A control is named as its twin is, ``null`` or ``perfect``.
        """
        plans = {run: Plan(self.settings[run]) for run in self.document[group]}
        return {plan.control or run: plan.comparison(table) for run, plan in plans.items()}

    def files(self, table: str) -> list[str]:
        """All files behind a table; the controls stand in that of the models."""
        groups = [self.comparison(table, "worlds")]
        groups += [self.comparison(table, "controls")] if table == "models" else []
        return [path for group in groups for methods in group.values() for paths in methods.values() for path in paths]


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
