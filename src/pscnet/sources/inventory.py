"""What a folder of raw files holds, as a value: the month's files, what the month lacks, and a report in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pscnet.sources import SourceError
from pscnet.sources import manifest as manifests
from pscnet.sources.contents import Found
from pscnet.sources.smap_granule import Version, version_of
from pscnet.timeaxis import month_bounds, month_days, month_stamps, months
from pscnet.variables import ERA5_LAND

#: At most so many names in a message.
_SHOWN = 6


@dataclass(frozen=True)
class Item:
    """One file of the archive: path relative to its folder, size, hash and what was found in it."""

    path: str
    size: int
    sha256: str
    found: Found


@dataclass
class Inventory:
    """What a folder holds.

    Attributes
    ----------
    folder : str
    items : list of Item
        Files of use, of the sources ``era5_land``, ``smap``, ``terrain`` and ``stations``.
    rejected : dict of str to str
        Files that look like provider files and cannot be used, with the reason.
    ignored : dict of str to str
        Other files, with what they are.
    """

    folder: str
    items: list[Item] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)

    def of(self, source: str) -> list[Item]:
        """The files of one source."""
        return [item for item in self.items if item.found.source == source]

    def manifest(self, source: str, month: str | None, variables: Sequence[str] = (), grid: str = "M36") -> dict:
        """What a month has and lacks, in the layout of :mod:`pscnet.sources.manifest`.

        Parameters
        ----------
        source : {"era5_land", "smap", "smap_e", "terrain"}
        month : str or None
        variables : sequence of str
            ERA5-Land short names.
        grid : str
            EASE-Grid 2.0 of the SMAP granules: M36 for SPL3SMP, M09 for SPL3SMP_E.

        Returns
        -------
        dict
            ``missing.variables`` has ERA5-Land names without any value in the month, and ``name at 2016-05-03
            06:00`` for single steps; ``missing.days`` has the days without SMAP granule, or with incomplete
            ERA5-Land variables.
        """
        if source == "era5_land":
            items, missing = self._era5_land(month, variables)
        elif source in ("smap", "smap_e"):
            items, missing = self._smap(month, grid)
        elif source == "terrain":
            items, missing = self.of("terrain"), {"variables": [], "days": []}
        else:
            raise SourceError(
                f"archive: expected the source era5_land, smap, smap_e or terrain; found {source!r}. Use one of them."
            )
        files = [asdict(self._member(item, variables)) for item in items]
        return {
            "source": source,
            "month": month,
            "root": self.folder,
            "files": files,
            "missing": missing,
            "made_by": "archive",
        }

    def _member(self, item: Item, variables: Sequence[str]) -> manifests.Member:
        found = item.found
        version = version_of(item.path)
        return manifests.Member(
            path=item.path,
            size=item.size,
            sha256=item.sha256,
            provider_id=Path(item.path).name,
            version=str(version) if found.source == "smap" and version != Version() else None,
            first=found.first,
            last=found.last,
            variables=[name for name in found.variables if found.source != "era5_land" or name in variables],
        )

    def _era5_land(self, month: str, variables: Sequence[str]) -> tuple[list[Item], dict[str, list[str]]]:
        start, end = month_bounds(month)
        stamps = month_stamps(month).astype("M8[h]")
        present = {name: np.zeros(stamps.size, bool) for name in variables}
        chosen = []
        for item in self.of("era5_land"):
            if np.datetime64(item.found.last) < start or np.datetime64(item.found.first) >= end:
                continue
            used = False
            for name in set(variables) & set(item.found.variables):
                there = np.isin(stamps, item.found.times_of(name))
                present[name] |= there
                used |= bool(there.any())
            if used:
                chosen.append(item)
        absent = [name for name in variables if not present[name].any()]
        steps = [
            f"{name} at {str(stamp).replace('T', ' ')}:00"
            for name in variables
            if name not in absent
            for stamp in stamps[~present[name]]
        ]
        complete = np.all(list(present.values()), axis=0) if present else np.ones(stamps.size, bool)
        days = sorted({str(stamp.astype("M8[D]")) for stamp in stamps[~complete]})
        return chosen, {"variables": absent + steps, "days": days if absent or steps else []}

    def _smap(self, month: str, grid: str) -> tuple[list[Item], dict[str, list[str]]]:
        chosen = [item for item in self.of("smap") if item.found.first[:7] == month and item.found.grid == grid]
        chosen.sort(key=lambda item: (item.found.first, version_of(item.path), item.path))
        there = {item.found.first[:10] for item in chosen}
        return chosen, {"variables": [], "days": [day for day in month_days(month) if day not in there]}

    def report(self, period: tuple[str, str], variables: Sequence[str]) -> str:
        """The archive in words: each month of the period, what is missing, and the files that are not used.

        Parameters
        ----------
        period : (first month, last month)
        variables : sequence of str
        """
        lines = [f"Archive {self.folder}"]
        for source in ("era5_land", "smap", "terrain", "stations"):
            lines.append(f"  {source}: {len(self.of(source))} files")
        for month in months(*period):
            lines.append(f"{month}  " + "; ".join(self._month_report(month, variables)))
        for title, group in (("cannot be used", self.rejected), ("ignored", self.ignored)):
            if group:
                lines.append(f"{len(group)} files {title}:")
                lines += [f"  {path}: {reason}" for path, reason in sorted(group.items())]
        return "\n".join(lines) + "\n"

    def _month_report(self, month: str, variables: Sequence[str]) -> Iterator[str]:
        era5 = self.manifest("era5_land", month, variables)["missing"]
        absent = [name for name in era5["variables"] if name in ERA5_LAND]
        steps = [name for name in era5["variables"] if name not in ERA5_LAND]
        complete = len(variables) - len(absent) - len({name.split()[0] for name in steps})
        text = f"ERA5-Land {complete} of {len(variables)} variables complete"
        if absent:
            text += f", missing {', '.join(absent)}"
        if steps:
            text += f", {len(steps)} missing steps: {some(steps)}"
        yield text
        smap = self.manifest("smap", month)
        total = len(month_days(month))
        text = f"SMAP {total - len(smap['missing']['days'])} of {total} days"
        if smap["missing"]["days"]:
            text += f", missing {some(smap['missing']['days'])}"
        halves = [
            f"{item.found.first[:10]} {half}"
            for item in self.of("smap")
            if item.found.first[:7] == month
            for half in item.found.missing_halves
        ]
        yield text + (f", without the half {some(halves)}" if halves else "")


def some(names: Iterable[str]) -> str:
    """The first few names in a row, and how many more there are."""
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
