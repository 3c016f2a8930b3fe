"""With which number: the typed configuration, from which the JSON schema and the key table are generated.

Unknown keys are refused with the nearest valid key; checks across fields say what to type instead.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from pscnet.channels import band_names
from pscnet.complaints import DEVICE, RUN, complaints, nearest, section_of
from pscnet.grids import (
    TARGET_COVER,
    Grid,
    GridError,
    best_covered,
    centres_in,
    check_box,
    ease2_grid,
    fine_grid,
    halved,
)
from pscnet.sections import Fetch, Section, check_terrain, sha256_digits
from pscnet.sections_validation import Box, Validation, station_sources
from pscnet.timeaxis import PARTS, Split, TimeError, is_month, make_split, months
from pscnet.variables import ERA5_LAND

#: Variables of the ERA5-Land background; the first is the one rescaled to SMAP.
BACKGROUND = "swvl1"

#: Node spacing of ERA5-Land [degree] (Munoz-Sabater et al. 2021, doi:10.5194/essd-13-4349-2021).
ERA5_LAND_SPACING = 0.1


class ConfigError(ValueError):
    """A configuration that cannot be run; the message lists every complaint, one a line."""


def _month(value: Any) -> str:
    """A month as text; YAML reads 2016-01 as text, but 2016-01-15 as a date and 2016 as a number."""
    if not is_month(str(value)):
        raise ValueError(f"'{value}' is no month: type year and month, such as 2016-01")
    return str(value)


class Region(Section):
    """The region of the product."""

    lat: tuple[float, float] = Field(description="South and north edge [degree].")
    lon: tuple[float, float] = Field(description="West and east edge [degree], within -180..180.")
    polygon: str | None = Field(None, description="Optional vector file; the region is what lies inside it.")
    min_elevation: float | None = Field(None, description="Optional lowest elevation of the region [m].")

    @model_validator(mode="after")
    def _box(self) -> Region:
        try:
            check_box(self.lat, self.lon)
        except GridError as error:
            raise ValueError(str(error)) from error
        return self


class Period(Section):
    """The months of the product, both included."""

    start: str = Field(description="First month, YYYY-MM.")
    end: str = Field(description="Last month, YYYY-MM.")

    @field_validator("start", "end", mode="before")
    @classmethod
    def _month(cls, value: Any) -> str:
        return _month(value)

    @model_validator(mode="after")
    def _order(self) -> Period:
        try:
            months(self.start, self.end)
        except TimeError as error:
            raise ValueError(str(error)) from error
        return self


class SplitMonths(Section):
    """Blocks of time of the three parts: months (2016-05), or ranges of months or days with both ends included.

    Ranges are written 2016-05/2016-07 and 2016-05-01/2016-05-20.
    """

    train: list[str] = Field(description="Blocks on which the net and the normaliser are fitted.")
    validation: list[str] = Field(description="Blocks for early stopping and calibration.")
    test: list[str] = Field(description="Blocks that are only scored.")

    @field_validator("*", mode="before")
    @classmethod
    def _days(cls, entries: Any) -> Any:
        """YAML reads a day alone as a date; here it is a block like any other."""
        if not isinstance(entries, list):
            return entries
        return [str(entry) if isinstance(entry, datetime.date) else entry for entry in entries]


class FineGrid(Section):
    """The grid of the product: the nodes of ERA5-Land, or EASE-Grid 2.0 cells to which ERA5-Land is interpolated."""

    kind: Literal["regular", "ease2"] = Field(
        "regular",
        description="regular: latitude-longitude nodes, on which nothing is interpolated; ease2: EASE-Grid 2.0 global.",
    )
    spacing: float = Field(
        ERA5_LAND_SPACING, gt=0, le=5, description="Node spacing [degree] (kind: regular); ERA5-Land has 0.1."
    )
    name: Literal["M09"] = Field("M09", description="M09: the 9 km cells that nest in M36 (kind: ease2).")

    @model_validator(mode="after")
    def _keys_of_kind(self) -> FineGrid:
        if self.kind == "ease2" and "spacing" in self.model_fields_set:
            raise ValueError("spacing goes with kind: regular; take it out, EASE-Grid 2.0 M09 has 9 km")
        if self.kind == "regular" and "name" in self.model_fields_set:
            raise ValueError(f"name {self.name} goes with kind: ease2; type {{kind: ease2, name: {self.name}}}")
        return self


class CoarseGrid(Section):
    """The grid of the satellite retrievals."""

    kind: Literal["ease2"] = Field("ease2", description="EASE-Grid 2.0 global.")
    name: Literal["M36"] = Field("M36", description="M36: the 36 km cells of SPL3SMP.")


class Grids(Section):
    """Both grids."""

    fine: FineGrid = Field(FineGrid(), description="Grid of the product.")
    coarse: CoarseGrid = Field(CoarseGrid(), description="Grid of the retrievals.")


class Regrid(Section):
    """How fields change grid."""

    engine: Literal["auto", "exact", "xesmf"] = Field(
        "auto", description="Weight engine: xesmf (ESMF), exact (closed form), auto takes xesmf where it imports."
    )
    min_valid_fraction: float = Field(
        0.5, ge=0, le=1, description="A coarse mean is used where at least this share of its area is valid."
    )


class SmapNoise(Section):
    """Standard deviation of the retrieval noise by quality class."""

    recommended: float = Field(
        0.043,
        gt=0,
        lt=0.5,
        description="Recommended retrievals [m3 m-3] (Chan et al. 2016: 0.036-0.040 at core sites).",
    )
    lenient: float = Field(0.06, gt=0, lt=0.5, description="Retrievals only the lenient mask accepts [m3 m-3].")


class Smap(Section):
    """SMAP SPL3SMP."""

    quality: Literal["recommended", "lenient"] = Field(
        "lenient",
        description="Mask: retrievals recommended by the provider, or all successful ones on unfrozen ground.",
    )
    noise: SmapNoise = Field(SmapNoise(), description="Known retrieval noise by quality class.")


class Samples(Section):
    """What the net sees around the time of its answer."""

    window_days: float = Field(8, gt=0, le=28, description="SMAP retrievals this far away, on both sides, are input.")
    buffer_days: float = Field(8, ge=0, le=60, description="Gap between samples of different parts of the split.")
    causal: bool = Field(
        False, description="true: an answer sees past retrievals only (near real time); false: those of both sides."
    )
    leave_out_hours: float = Field(
        6,
        ge=3,
        le=48,
        description="Retrievals this near in time to the scored one are left out with it (one overpass).",
    )
    time_scales_days: list[float] = Field(
        [1.5, 5.0, 15.0], description="Time constants of the temporal bands below the exact 24-hour mean [day]."
    )
    withheld: list[Box] = Field(
        [],
        description="Boxes of 36 km cells whose retrievals nothing sees but the validation: held-out regions, such as "
        "[{lat: [32, 33], lon: [92, 93]}].",
    )

    @model_validator(mode="after")
    def _scales(self) -> Samples:
        if sorted(set(self.time_scales_days)) != self.time_scales_days or not self.time_scales_days:
            raise ValueError(f"time_scales_days {self.time_scales_days}: type them ascending, such as [1.5, 5, 15]")
        if self.time_scales_days[0] <= 0.5:
            raise ValueError("time_scales_days: the 24-hour mean takes what is faster; start above 0.5 days")
        if self.leave_out_hours >= 24 * self.window_days:
            raise ValueError(
                f"leave_out_hours {self.leave_out_hours:g} leaves nothing of window_days {self.window_days:g}: "
                "type fewer hours, or a wider window"
            )
        return self


#: Names of the nets, those of :data:`pscnet.nets.NETS`.
NetName = Literal[
    "pscnet", "mlp", "unet", "lstm", "tcn", "resnet", "convlstm", "cnn3d", "random_forest", "gradient_boosting"
]


class Model(Section):
    """The net, and which of its parts are there: what is taken out is compared in the ablation table."""

    name: NetName = Field("pscnet", description="The net: pscnet, or a baseline ([list](../docs/method.md)).")
    dress: Literal["own", "literature"] = Field(
        "own",
        description="own: SMAP and background are input, footprints supervise the 10 km field; literature: ERA5-Land "
        "only, trained on 36 km means and applied at 10 km.",
    )
    width: int = Field(32, ge=4, le=512, description="Feature channels.")
    heads: int = Field(4, ge=1, le=16, description="Attention heads (time kernels) over the SMAP retrievals.")
    blocks: int = Field(1, ge=1, le=8, description="Spatial blocks at each scale.")
    squeeze_km: float = Field(
        100, gt=0, description="Size of the squeeze-and-excitation neighbourhood [km] (name: pscnet)."
    )
    regional_km: float = Field(
        100, gt=0, description="Size of the box over which the net sees lasting fields averaged [km]."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of feature channels dropped in training.")
    kriged: bool = Field(True, description="The kriged innovation of optimal interpolation is input too.")
    sequence_days: int = Field(
        10, ge=2, le=28, description="Days that nets of series look back, into the month before (lstm, tcn, ...)."
    )
    retrievals: Literal["set", "innovations", "smoothed", "none"] = Field(
        "set",
        description="SMAP as input: set: learnt attention over retrievals; innovations, smoothed: fixed kernels over "
        "innovations, over values; none.",
    )
    skip: bool = Field(True, description="The background is added to the answer; false: it is input only.")
    gates: bool = Field(True, description="MFTF's gates over the bands; false: all bands as they are.")
    without_bands: list[str] = Field(
        ["day"],
        description="Bands that the net does not see: day, level, or as 1.5d. SMAP passes at two times of day: what a "
        "net learns of the within-day band at these it carries to the other six.",
    )
    squeeze: Literal["neighbourhood", "plain", "global", "none"] = Field(
        "neighbourhood",
        description="Squeeze-and-excitation: neighbourhood; plain: without the path of fine anomalies; global: over "
        "the whole tile; none (name: pscnet).",
    )
    scales: list[Literal["36km", "18km", "10km"]] = Field(
        ["36km", "18km", "10km"], description="Progressive scales, 10km among them (name: pscnet)."
    )

    @field_validator("name", mode="before")
    @classmethod
    def _name(cls, name: Any) -> Any:
        valid = get_args(NetName)
        if name not in valid:
            raise ValueError(f"{name!r} is no net; the nearest is {nearest(str(name), valid)!r} ({', '.join(valid)})")
        return name

    @field_validator("scales")
    @classmethod
    def _scales(cls, scales: list[str]) -> list[str]:
        ordered = [name for name in ("36km", "18km", "10km") if name in scales]
        if scales != ordered or "10km" not in scales:
            raise ValueError(f"{scales}: type scales coarse to fine, each once, 10km the last")
        return scales

    @model_validator(mode="after")
    def _keys_of_net(self) -> Model:
        for key in ("squeeze_km", "squeeze", "scales"):
            if self.name != "pscnet" and key in self.model_fields_set:
                raise ValueError(f"{key} goes with name: pscnet; take it out, {self.name} has none")
        return self


def at_least_a_cell(tile: int | str) -> int | str:
    """A tile that holds a 36 km cell, or ``auto``."""
    if isinstance(tile, int) and tile < 8:
        raise ValueError(f"tile {tile}: a tile has at least 8 fine cells a side")
    return tile


class Training(Section):
    """How the net learns."""

    seed: int = Field(0, ge=0, description="Seed of weights, order and dropout.")
    device: str = Field("auto", pattern=DEVICE, description="auto: a GPU where there is one; on a cluster type cuda.")
    precision: Literal["float32", "bf16"] = Field("float32", description="bf16: autocast of the net's products.")
    epochs: int = Field(
        12, ge=1, description="Passes over the training overpasses; the learning rate falls to zero over them."
    )
    patience: int = Field(6, ge=1, description="Epochs without a better validation loss before stopping.")
    ensemble: int = Field(
        3, ge=1, le=20, description="Nets trained with seeds from seed on; the product is their mean."
    )
    batch_steps: int = Field(4, ge=1, description="Overpass stamps in a batch.")
    tile: int | Literal["auto"] = Field(
        "auto", description="Fine cells a side of a training tile; auto: the whole region up to 400, else tiles of 400."
    )
    sampling: Literal["even", "plain"] = Field(
        "even",
        description="even: every calendar month equally often; plain: every overpass once an epoch (trees: plain).",
    )
    loss: Literal["separate", "joint", "huber"] = Field(
        "separate",
        description="separate: least squares for the mean, likelihood for the variance; joint: one likelihood; huber: "
        "separate, large residuals linear.",
    )
    learning_rate: float = Field(3e-3, gt=0, lt=1, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(0.03, ge=0, description="Weight decay of AdamW.")
    threads: int = Field(4, ge=1, description="CPU threads; small regions train fastest with 1.")
    scale_weights: tuple[float, float, float] = Field(
        (0.25, 0.25, 1.0), description="Loss weights of the 36 km, 18 km and 10 km fields."
    )

    @field_validator("scale_weights")
    @classmethod
    def _weights(cls, weights: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(weights) < 0 or weights[-1] == 0:
            raise ValueError(f"{list(weights)}: weights are not negative, and the last, of the 10 km field, is not 0")
        return weights

    @field_validator("tile")
    @classmethod
    def _tile(cls, value: int | str) -> int | str:
        return at_least_a_cell(value)


class Downscale(Section):
    """How the product's fields are computed."""

    device: str = Field("auto", pattern=DEVICE, description="auto: a GPU where there is one; on a cluster type cuda.")
    tile: int | Literal["auto"] = Field("auto", description="Fine cells a side of a tile; auto: whole box up to 400.")
    batch_steps: int = Field(8, ge=1, description="Time steps computed together.")
    threads: int = Field(2, ge=1, description="CPU threads of a month's job.")
    variance_factor: float = Field(
        1.4, gt=0, description="Variance of a 10 km error over that of its 36 km mean (found on a twin of seed 11)."
    )
    systematic_std: float = Field(
        0.030, ge=0, lt=0.5, description="Error [m3 m-3] that agreement with SMAP cannot see: its bias, static detail."
    )

    @field_validator("tile")
    @classmethod
    def _tile(cls, value: int | str) -> int | str:
        return at_least_a_cell(value)


class Product(Section):
    """How the product is delivered."""

    dtype: Literal["int16", "float32"] = Field("int16", description="Packed (1e-4 or finer) or plain.")
    title: str = Field("Seamless 3-hourly soil moisture at 10 km from SMAP and ERA5-Land", description="ACDD title.")
    institution: str = Field("not given", description="ACDD institution: yours.")
    creator_name: str = Field("not given", description="ACDD creator_name: yours.")
    creator_email: str = Field("not.given@example.org", description="ACDD creator_email: yours.")
    creator_url: str = Field("https://example.org", description="ACDD creator_url: yours.")
    license: str = Field("CC-BY-4.0", description="Licence of the product.")


class Report(Section):
    """The page and its figures."""

    colormap: str = Field("YlGnBu", description="Matplotlib colour map of soil moisture.")
    range: tuple[float, float] = Field((0.0, 0.45), description="Colour range [m3 m-3].")
    month: str | None = Field(None, description="Month that the page shows; default: the first test month.")
    places: list[tuple[float, float]] = Field(
        [], description="Latitude and longitude of places with time series; default: five spread over the region."
    )

    @field_validator("range")
    @classmethod
    def _range(cls, limits: tuple[float, float]) -> tuple[float, float]:
        if limits[0] >= limits[1]:
            raise ValueError(f"{list(limits)}: the lower limit comes first, such as [0.0, 0.45]")
        return limits

    @field_validator("month", mode="before")
    @classmethod
    def _month(cls, value: Any) -> str | None:
        return None if value is None else _month(value)


class Twin(Section):
    """The simulated Plateau (source: twin)."""

    seed: int = Field(0, ge=0, description="World number: same seed, same world.")
    control: Literal["none", "null", "perfect"] = Field(
        "none", description="null: predictors without information; perfect: swvl1 is the truth."
    )


class Compare(Section):
    """What ``snakemake compare_models`` and ``snakemake compare_parts`` train and score."""

    models: list[NetName] = Field(
        list(get_args(NetName)), description="Nets of the comparison; model's other keys hold for all of them."
    )
    literature: bool = Field(True, description="Each net in the literature's dress too.")
    ensembles: list[NetName] = Field(["pscnet", "mlp"], description="Nets whose seeds are scored together too.")
    seeds: int = Field(3, ge=1, le=20, description="Trainings of each net, with seeds from training.seed on.")


#: Default predictors: water, temperature, rain, evaporation, radiation, vegetation and snow.
DEFAULT_PREDICTORS = ["swvl1", "swvl2", "stl1", "t2m", "d2m", "tp", "e", "ssrd", "strd", "lai_hv", "lai_lv", "sd"]


class Config(Section):
    """The whole configuration."""

    run: str = Field(pattern=RUN, description="Name of the run: results/{run}/, build/{run}/.")
    source: Literal["twin", "archive", "fetch"] = Field(
        "archive",
        description="twin: the built-in simulated Plateau; archive: provider files in a folder; "
        "fetch: files are fetched into that folder.",
    )
    archive: str = Field("archive", description="Folder of provider files, any sub-folders (source: archive, fetch).")
    fetch: Fetch = Field(Fetch(), description="How files are fetched (source: fetch).")
    region: Region = Field(description="Region of the product.")
    period: Period = Field(description="Months of the product.")
    split: Literal["auto"] | SplitMonths = Field(
        "auto", description="auto: first half train, then a sixth validation, the last third test; or the three lists."
    )
    grids: Grids = Field(Grids(), description="Grids.")
    regrid: Regrid = Field(Regrid(), description="Regridding.")
    predictors: list[str] = Field(
        DEFAULT_PREDICTORS, description="ERA5-Land variables by short name; swvl1 among them."
    )
    smap: Smap = Field(Smap(), description="SMAP retrievals.")
    terrain: str | None = Field(
        None,
        description="Elevation raster: a file, or an https address (source: fetch); default: the one in the archive.",
    )
    terrain_sha256: str | None = Field(
        None, description="SHA-256 of the elevation raster; needed where terrain is an address."
    )
    stations: str | list[str] | None = Field(
        None,
        description="Stations to validate with (optional): a folder or zip of ISMN, a description of tables (YAML, "
        "[example](../docs/validation/stations.md)), or a list of these.",
    )
    samples: Samples = Field(Samples(), description="Inputs of the net.")
    model: Model = Field(Model(), description="The net.")
    training: Training = Field(Training(), description="Training.")
    downscale: Downscale = Field(Downscale(), description="Downscaling.")
    compare: Compare = Field(Compare(), description="Comparison of models.")
    product: Product = Field(Product(), description="Product files.")
    validation: Validation = Field(Validation(), description="Validation.")
    report: Report = Field(Report(), description="Report.")
    twin: Twin = Field(Twin(), description="The simulated Plateau.")

    @field_validator("stations", mode="before")
    @classmethod
    def _stations(cls, value: Any) -> Any:
        return None if value is None else station_sources(value)

    @field_validator("terrain_sha256", mode="before")
    @classmethod
    def _sha256(cls, value: Any) -> str | None:
        return None if value is None else sha256_digits(value)

    @field_validator("predictors")
    @classmethod
    def _predictors(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in ERA5_LAND:
                shorts = {variable.request: variable.short for variable in ERA5_LAND.values()}
                alike = nearest(name, [*ERA5_LAND, *shorts])
                hint = ERA5_LAND[shorts.get(alike, alike)]
                raise ValueError(
                    f"{name!r} is no ERA5-Land short name; did you mean {hint.short!r} ({hint.long_name})? "
                    f"Valid: {', '.join(ERA5_LAND)}"
                )
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{', '.join(twice)} is listed twice: take one out")
        if BACKGROUND not in names:
            raise ValueError(f"{BACKGROUND} is missing: the background is made of it; add it to the list")
        return names

    @model_validator(mode="after")
    def _across(self) -> Config:
        if self.samples.buffer_days < self.samples.window_days:
            raise ValueError(
                f"samples.buffer_days {self.samples.buffer_days:g} is shorter than samples.window_days "
                f"{self.samples.window_days:g}, so test retrievals would be training input: type buffer_days: "
                f"{self.samples.window_days:g} or more"
            )
        bands = band_names(self.samples.time_scales_days)
        for name in self.model.without_bands:
            if name not in bands:
                raise ValueError(f"model.without_bands: {name!r} is no band; type some of {', '.join(bands)}")
        try:
            self.make_split()
        except TimeError as error:
            raise ValueError(str(error)) from error
        if self.grids.fine.kind == "ease2" and self.source == "twin":
            raise ValueError(
                "grids.fine.kind ease2 goes with source: archive or fetch, as the truth of the simulated Plateau lies "
                "on 0.1 degree nodes: type kind: regular, or another source"
            )
        try:
            self.coarse_grid()
            self.fine_grid()
            self.source_grid()
        except GridError as error:
            raise ValueError(f"region, grids: {error}") from error
        self._check_cells()
        self._check_withheld()
        self._check_gaps()
        check_terrain(self.source, self.terrain, self.terrain_sha256)
        self._check_report()
        return self

    def _check_cells(self) -> None:
        """A net learns from whole SMAP cells: one at least."""
        share, (south, north), (west, east) = best_covered(self.fine_grid(), self.coarse_grid())
        if share < TARGET_COVER:
            step = self.grids.fine.spacing
            box = [math.floor(south / step) * step, math.ceil(north / step) * step]
            box += [math.floor(west / step) * step, math.ceil(east / step) * step]
            raise ValueError(
                f"region: no SMAP cell of 36 km lies inside the box (of the nearest, {share:.0%}); the smallest region "
                f"around it is lat: [{box[0]:g}, {box[1]:g}], lon: [{box[2]:g}, {box[3]:g}]"
            )

    def _check_withheld(self) -> None:
        """Held-out regions hold cells, and leave more than they take."""
        grid, taken = self.coarse_grid(), self.withheld_cells()
        for number, box in enumerate(self.samples.withheld):
            if not centres_in(grid, box.lat, box.lon).any():
                far = [abs(grid.lat - sum(box.lat) / 2), abs(grid.lon - sum(box.lon) / 2)]
                raise ValueError(
                    f"samples.withheld.{number}: no SMAP cell of 36 km of the region has its centre in lat "
                    f"{list(box.lat)}, lon {list(box.lon)}; the nearest centre is {grid.lat[far[0].argmin()]:.2f} N "
                    f"{grid.lon[far[1].argmin()]:.2f} E: widen the box around it, or take it out"
                )
        if 2 * taken.sum() > taken.size:
            raise ValueError(
                f"samples.withheld: {int(taken.sum())} of the {taken.size} SMAP cells would be withheld, at most half "
                "may be, so that enough is left to learn from: make the boxes smaller"
            )

    def withheld_cells(self) -> np.ndarray:
        """The cells of the coarse grid (y, x, bool) that the boxes of samples.withheld take."""
        grid = self.coarse_grid()
        taken = np.zeros(grid.shape, bool)
        for box in self.samples.withheld:
            taken |= centres_in(grid, box.lat, box.lon)
        return taken

    def _check_gaps(self) -> None:
        window = self.samples.window_days
        long = [gap for gap in self.validation.gaps_days if gap >= window]
        if long and "gaps_days" in self.validation.model_fields_set:
            raise ValueError(
                f"validation.gaps_days: a gap of {long[0]:g} days hides all that samples.window_days {window:g} shows: "
                f"type gaps below {window:g}, or a wider window"
            )

    def _check_report(self) -> None:
        if self.report.month is not None and self.report.month not in self.months():
            raise ValueError(
                f"report.month {self.report.month} is not in the period {self.period.start} to {self.period.end}: "
                "type one of its months, or leave it out"
            )
        (south, north), (west, east) = self.region.lat, self.region.lon
        for lat, lon in self.report.places:
            if not (south <= lat <= north and west <= lon <= east):
                raise ValueError(
                    f"report.places: [{lat:g}, {lon:g}] lies outside the region; a place is [latitude, longitude]"
                )

    def months(self) -> list[str]:
        """The months of the period."""
        return months(self.period.start, self.period.end)

    def make_split(self) -> Split:
        """The split, resolved to blocks of time."""
        split = self.split if self.split == "auto" else {part: getattr(self.split, part) for part in PARTS}
        return make_split(split, (self.period.start, self.period.end), self.samples.buffer_days)

    def grid_arguments(self) -> dict[str, dict[str, Any]]:
        """Arguments of ``fine_grid`` (``fine``, ``source``) and ``ease2_grid`` (``coarse``), as plain values."""
        box = {"lat": list(self.region.lat), "lon": list(self.region.lon)}
        fine = self.grids.fine
        nodes = {"kind": "regular", **box, "spacing": fine.spacing}
        return {
            "source": nodes,
            "fine": nodes if fine.kind == "regular" else {"kind": fine.kind, **box, "name": fine.name},
            "coarse": {**box, "name": self.grids.coarse.name},
        }

    def fine_grid(self) -> Grid:
        """The product's grid."""
        return fine_grid(**self.grid_arguments()["fine"])

    def source_grid(self) -> Grid:
        """The nodes on which ERA5-Land is read: the fine grid itself where that is regular."""
        return fine_grid(**self.grid_arguments()["source"])

    def coarse_grid(self) -> Grid:
        """The retrievals' grid: the cells that touch the box."""
        return ease2_grid(**self.grid_arguments()["coarse"])

    def middle_grid(self) -> Grid:
        """The intermediate grid of the progressive scales: coarse cells halved."""
        return halved(self.coarse_grid())


def load(mapping: Mapping[str, Any]) -> Config:
    """Check a configuration.

    Parameters
    ----------
    mapping : nested mapping, as YAML gives it

    Raises
    ------
    ConfigError
        With one line a complaint: the key, what is wrong, what to type.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"configuration: keys with values expected, such as run: my_run (found {mapping!r})")
    try:
        return Config.model_validate(mapping)
    except ValidationError as error:
        raise ConfigError("\n".join(complaints(error, Config))) from None


def json_schema() -> str:
    """The JSON schema of the configuration, as kept in ``config/schema.json``."""
    schema = Config.model_json_schema()
    schema["title"] = "PSCNet configuration"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def key_table() -> str:
    """The table of all keys in Markdown, as kept in ``config/README.md``."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]

    def walk(section: type[BaseModel], prefix: str) -> None:
        for name, field in section.model_fields.items():
            inner = section_of(field.annotation)
            if inner and get_origin(field.annotation) is None:
                walk(inner, f"{prefix}{name}.")
                continue
            default = "required" if field.is_required() else f"`{json.dumps(field.default)}`"
            kind = _type_name(field.annotation).replace("|", "\\|")
            rows.append(f"| `{prefix}{name}` | {kind} | {default} | {field.description} |")
            if inner:
                walk(inner, f"{prefix}{name}.")

    walk(Config, "")
    return "\n".join(rows) + "\n"


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if section_of(annotation):
        return "list of the keys below" if get_origin(annotation) is list else "auto or the keys below"
    return str(annotation).replace("typing.", "").replace("NoneType", "None")


def write_documents(folder: Path) -> None:
    """Write ``schema.json`` and the key table inside ``README.md`` of the config folder."""
    (folder / "schema.json").write_text(json_schema())
    readme = folder / "README.md"
    readme.write_text(with_key_table(readme.read_text()))


def with_key_table(text: str) -> str:
    """``text`` with the part between the table markers replaced by the present key table."""
    start, end = "<!-- keys: generated -->\n", "<!-- keys: end -->"
    head, rest = text.split(start)
    return f"{head}{start}{key_table()}{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    write_documents(Path(sys.argv[1]))
