"""Small ISMN files in the layouts of the real downloads."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from pscnet.grids import regular_grid
from pscnet.sources.stations import Wanted

#: As in static_variables.csv of a download of 2026.
STATIC = (
    "quantity_name;unit;depth_from[m];depth_to[m];value;description;quantity_source_name;quantity_source_description;"
    "quantity_source_provider;quantity_source_version;quantity_source_resolution;quantity_source_timerange;"
    "quantity_source_url;\n"
    'clay fraction;% weight;0.00;0.30;40.00;;HWSD;Harmonized World Soil Database v1.1;IIASA;v1.1;30";None;http://x/;\n'
    "land cover classification;;;;10;Cropland, rainfed;CCI_landcover_2010;ESA CCI Land Cover;ESA;2010;300m;;http://x/;\n"
    "climate classification;;;;Cfb;Temperate;koeppen_geiger_2017;Version 2017;None;Rubel2017;0.08°;None;http://x/;\n"
)

#: Hour of 2017-07-01, value and flag.
VALUES = [(0, 0.1453, "G"), (1, 0.1419, "D01"), (2, 0.1500, "G"), (3, 0.7100, "C02"), (4, 0.1600, "G")]


def header_values(
    station: str = "BJ", place: str = "31.37000 91.90000 4509.00", depths: str = "0.0500 0.0500", sensor: str = "5TM",
    records: list[tuple[int, float, str]] | None = None, provider: str = " M",
) -> list[str]:  # fmt: skip
    """Lines of the layout header+values."""
    lines = [f"CTP CTP {station} {place} {depths} {sensor}"]
    return lines + [f"2017/07/01 {h:02d}:00 {v:10.4f} {flag}{provider}" for h, v, flag in records or VALUES]


def ceop(station: str = "BJ", place: str = "31.37000 91.90000 4509.00", depths: str = "0.05 0.05") -> list[str]:
    """Lines of the layout CEOP."""
    when = "2017/07/01 {0:02d}:00"
    return [
        f"{when.format(h)} {when.format(h)} CTP      CTP           {station}     {place}   {depths}   {v:.4f} {f} M"
        for h, v, f in VALUES
    ]


def name_of(
    station: str = "BJ", variable: str = "sm", depths: str = "0.050000_0.050000", sensor: str = "5TM",
    period: str = "20170701_20170731",
) -> str:  # fmt: skip
    return f"CTP_CTP_{station}_{variable}_{depths}_{sensor}_{period}.stm"


@pytest.fixture
def wanted() -> Wanted:
    """Central Plateau, July 2017; the northernmost row of cells has no product."""
    grid = regular_grid((31.0, 33.0), (91.0, 93.0))
    region = np.ones(grid.shape, dtype=bool)
    region[0] = False
    return Wanted(grid, region, 0.05, np.datetime64("2017-07-01"), np.datetime64("2017-08-01"))


@pytest.fixture
def archive(tmp_path):
    """Write files of an archive: path inside it to lines or bytes; as a folder or as a zip."""

    def write(files: dict[str, list[str] | bytes], end: str = "\n", packed: bool = False) -> Path:
        contents = {
            name: lines if isinstance(lines, bytes) else (end.join(lines) + end).encode()
            for name, lines in files.items()
        }
        if packed:
            path = tmp_path / "Data_separate_files_header_20170701_20170731_1_x_20260105.zip"
            with zipfile.ZipFile(path, "w") as target:
                for name, content in contents.items():
                    target.writestr(name, content)
            return path
        folder = tmp_path / "ismn"
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    return write
