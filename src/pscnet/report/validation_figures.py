"""Which module draws the figures of which validation? The list of them, and the one function that has all drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import xarray as xr

from pscnet.report import (
    dynamics_figures,
    hours_figures,
    satellite_figures,
    stations_figures,
    triple_figures,
    uncertainty_figures,
)
from pscnet.report.figure_files import save_figures, write_index
from pscnet.report.inputs import ReportError
from pscnet.validation.document import read_document

#: Validation to the module with its ``FIGURES`` and ``draw(document, maps)``: every validation of a plan stands here.
#: The imports are written out, so that an edited module draws again.
MODULES: dict[str, ModuleType] = {
    "satellite": satellite_figures,
    "stations": stations_figures,
    "hours": hours_figures,
    "dynamics": dynamics_figures,
    "uncertainty": uncertainty_figures,
    "triple": triple_figures,
}


def write_validation_figures(
    *,
    validations: Sequence[str],
    files: Sequence[str | Path],
    folder: str | Path,
    index: str | Path,
    modules: Mapping[str, ModuleType] | None = None,
) -> None:
    """Draw the figures of every validation into ``{folder}/{what}/``, and list them.

    Parameters
    ----------
    validations : sequence of str
        Their names, in the order of the page.
    files : paths
        What the validations delivered: ``{what}.json`` of each and, where there are maps, ``{what}_maps.nc``.
    folder, index : paths to write
        An entry of the list has ``what`` besides the fields of :func:`pscnet.report.figure_files.save_figures`.
    modules : mapping
        Default: :data:`MODULES`.

    Raises
    ------
    ReportError
        When a validation has no module or no document, or a module does not draw what it lists.
    """
    known = MODULES if modules is None else modules
    by_name = {Path(path).name: Path(path) for path in files}
    entries = []
    for what in validations:
        if what not in known:
            raise ReportError(f"validation {what}: expected its module in pscnet.report.validation_figures; found none")
        if f"{what}.json" not in by_name:
            raise ReportError(
                f"validation {what}: expected {what}.json; found {', '.join(sorted(by_name)) or 'nothing'}"
            )
        document = read_document(by_name[f"{what}.json"])
        maps = _maps(by_name.get(f"{what}_maps.nc"))
        drawn = known[what].draw(document, maps)
        made = save_figures(drawn, known[what].FIGURES, Path(folder) / what)
        entries += [{"what": what, **entry} for entry in made]
        print(f"{what}: {', '.join(entry['name'] for entry in made)}", flush=True)
    write_index(index, entries)


def _maps(path: Path | None) -> xr.Dataset | None:
    if path is None:
        return None
    with xr.open_dataset(path) as maps:
        return maps.load()
