"""The configuration: what ships loads, documents are generated from it, and mistakes are told in plain words."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import Field, create_model

from pscnet import config
from pscnet.complaints import section_of
from pscnet.config import Config, ConfigError, json_schema, key_table, load, with_key_table
from pscnet.research import settings_of
from pscnet.variables import ERA5_LAND


@pytest.fixture(scope="module")
def base(repository) -> dict[str, Any]:
    return yaml.safe_load((repository / "config" / "config.yaml").read_text())


def laid_over(base: dict, overlay: dict) -> dict:
    """As ``--configfile`` does: sections are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged


def complaint(base: dict, overlay: str) -> str:
    """What is said about an overlay in YAML."""
    with pytest.raises(ConfigError) as caught:
        load(laid_over(base, yaml.safe_load(overlay)))
    return str(caught.value)


# What ships -----------------------------------------------------------------------------------------------------------


def test_the_real_run_loads_and_is_what_it_says(base):
    real = load(base)
    assert real.run == "tibetan_plateau" and real.source == "archive"
    assert len(real.months()) == 36
    assert real.fine_grid().shape == (151, 321) and real.coarse_grid().shape == (46, 87)
    assert real.middle_grid().shape == (92, 174)
    assert real.predictors == config.DEFAULT_PREDICTORS, "the file and the default say the same"


def test_every_overlay_that_ships_loads(base, repository):
    others = {"config.yaml", "research.yaml"}  # what they are laid over; several configurations in one file
    overlays = [path for path in (repository / "config").glob("*.yaml") if path.name not in others]
    assert overlays
    for path in overlays:
        load(laid_over(base, yaml.safe_load(path.read_text())))


def test_every_world_of_the_research_run_loads(base, repository):
    worlds = settings_of(yaml.safe_load((repository / "config" / "research.yaml").read_text()), base)
    assert len(worlds) == 5
    for run, settings in worlds.items():
        assert load(settings).run == run and load(settings).source == "twin"


def test_six_lines_are_a_run_of_ones_own(base):
    lines = """\
run: my_basin
source: archive
archive: /data/raw
region: {lat: [33, 36], lon: [90, 96]}
period: {start: 2017-01, end: 2017-12}
predictors: [swvl1, stl1, tp]"""
    assert len(lines.splitlines()) == 6
    mine = load(laid_over(base, yaml.safe_load(lines)))
    assert mine.fine_grid().shape == (31, 61) and len(mine.months()) == 12
    assert mine.make_split().months("test") == ["2017-09", "2017-10", "2017-11", "2017-12"]
    assert mine.training == load(base).training, "what the overlay does not name stays"


def test_a_configuration_cannot_be_changed_afterwards(base):
    with pytest.raises(ValueError, match="frozen"):
        load(base).samples.window_days = 3  # type: ignore[misc]


# Documents ------------------------------------------------------------------------------------------------------------


def test_documents_are_what_the_code_generates(repository):
    """Stale? Run ``python -m pscnet.config config``."""
    assert (repository / "config" / "schema.json").read_text() == json_schema()
    readme = (repository / "config" / "README.md").read_text()
    assert readme == with_key_table(readme)


def test_a_changed_key_shows_in_both_documents(monkeypatch):
    """The control: another default, or another key, and neither document is the same."""
    schema, table = json_schema(), key_table()
    for change in ({"archive": (str, Field("raw", description="x"))}, {"extra": (int, Field(1, description="x"))}):
        monkeypatch.setattr(config, "Config", create_model("Config", __base__=Config, **change))
        assert json_schema() != schema and key_table() != table


def test_every_key_says_what_it_means_and_stands_in_the_table():
    table = key_table()

    def walk(section, prefix: str = "") -> None:
        for name, field in section.model_fields.items():
            assert field.description, f"{prefix}{name} has no description"
            inner = section_of(field.annotation)
            if inner:
                walk(inner, f"{prefix}{name}.")
            else:
                assert f"| `{prefix}{name}` |" in table

    walk(Config)


def test_an_editor_with_the_schema_accepts_the_same_files(base, repository):
    schema = json.loads(json_schema())
    jsonschema.validate(base, schema)
    jsonschema.validate(laid_over(base, yaml.safe_load((repository / "config" / "demo.yaml").read_text())), schema)
    with pytest.raises(jsonschema.ValidationError, match="runn"):
        jsonschema.validate({**base, "runn": 1}, schema)


def test_documents_are_written_in_place(tmp_path):
    (tmp_path / "README.md").write_text("before\n<!-- keys: generated -->\nold\n<!-- keys: end -->\nafter\n")
    config.write_documents(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n") and text.endswith("<!-- keys: end -->\nafter\n") and "\nold\n" not in text
    assert json.loads((tmp_path / "schema.json").read_text())["title"] == "PSCNet configuration"


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlay", "key", "nearest"),
    [
        ("regoin: 1", "regoin", "region"),
        ("region: {lats: [25, 40]}", "region.lats", "lat"),
        ("split: {train: [2016-01], valid: [2016-03], test: [2016-05]}", "split.valid", "validation"),
        ("grids: {coarse: {nmae: M36}}", "grids.coarse.nmae", "name"),
        ("smap: {noise: {recomended: 0.04}}", "smap.noise.recomended", "recommended"),
        ("training: {epoch: 3}", "training.epoch", "epochs"),
        ("samples: {window: 3}", "samples.window", "window_days"),
    ],
)
def test_unknown_keys_name_the_nearest_valid_one(base, overlay, key, nearest):
    assert f"{key}: unknown key; the nearest valid key is {nearest!r} (valid: " in complaint(base, overlay)


def test_keys_that_are_needed_are_named():
    with pytest.raises(ConfigError) as caught:
        load({})
    assert str(caught.value).splitlines() == [f"{key}: missing; add it" for key in ("run", "region", "period")]


@pytest.mark.parametrize("nothing", [None, [], "run: x"])
def test_what_is_no_mapping_is_refused(nothing):
    with pytest.raises(ConfigError, match="keys with values expected, such as run: my_run"):
        load(nothing)


def test_all_complaints_come_together(base):
    said = complaint(base, "{run: a b, source: web, training: {epoch: 3}}").splitlines()
    assert [line.split(":")[0] for line in said] == ["run", "source", "training.epoch"]


#: Overlay, and what is said about it: a newcomer's mistakes.
MISTAKES = {
    # Texts, numbers, lists and sections in each other's place
    "run: 2016": 'run: a text expected, found 2016: put it in quotes, "2016"',
    "run: my run": "run: letters, digits, _ and - (no blanks) expected (found 'my run')",
    "run: ../elsewhere": "run: letters, digits, _ and - (no blanks) expected (found '../elsewhere')",
    "source: web": "source: 'twin', 'archive' or 'fetch' expected (found 'web')",
    "samples:": "samples: nothing stands below it; give it keys (window_days, buffer_days, ",
    "samples: 8": (
        "samples: keys expected (window_days, buffer_days, causal, leave_out_hours, time_scales_days, "
        "withheld), found 8"
    ),
    "predictors: swvl1": "predictors: a list expected: put it in brackets, [swvl1] (found 'swvl1')",
    "training: {device: gpu}": "training.device: auto, cpu, cuda or, of several GPUs, cuda:1 expected (found 'gpu')",
    "training: {scale_weights: [1, 2]}": "training.scale_weights: a list of 3 numbers expected (found [1, 2])",
    "training: {scale_weights: [1, 1, 0]}": "training.scale_weights: [1.0, 1.0, 0.0]: weights are not negative",
    "downscale: {tile: big}": "downscale.tile: a whole number or 'auto' expected (found 'big')",
    "downscale: {tile: 4}": "downscale.tile: tile 4: a tile has at least 8 fine cells a side",
    "model: {name: mpl}": "model.name: 'mpl' is no net; the nearest is 'mlp' (pscnet, mlp, unet, lstm, ",
    "model: {name: mlp, squeeze_km: 80}": "model: squeeze_km goes with name: pscnet; take it out, mlp has none",
    "model: {name: unet, scales: [10km]}": "model: scales goes with name: pscnet; take it out, unet has none",
    "model: {scales: [10km, 36km]}": "model.scales: ['10km', '36km']: type scales coarse to fine, each once, 10km the",
    "model: {scales: [36km, 18km]}": "10km the last",
    "model: {without_bands: [2d]}": "model.without_bands: '2d' is no band; type some of day, 1.5d, 5d, 15d, level",
    "{model: {without_bands: [5d]}, samples: {time_scales_days: [2]}}": "'5d' is no band; type some of day, 2d, level",
    "training: {tile: 4}": "training.tile: tile 4: a tile has at least 8 fine cells a side",
    "compare: {models: [pscnet, unett]}": "compare.models.1: 'pscnet', 'mlp', 'unet', 'lstm', ",
    "grids: {coarse: {name: M25}}": "grids.coarse.name: 'M36' expected (found 'M25')",
    "grids: {fine: {kind: ease}}": "grids.fine.kind: 'regular' or 'ease2' expected (found 'ease')",
    "grids: {fine: {kind: ease2, name: M36}}": "grids.fine.name: 'M09' expected (found 'M36')",
    "grids: {fine: {name: M09}}": "grids.fine: name M09 goes with kind: ease2; type {kind: ease2, name: M09}",
    "grids: {fine: {kind: ease2, spacing: 0.1}}": "grids.fine: spacing goes with kind: regular; take it out",
    "{source: twin, grids: {fine: {kind: ease2}}}": (
        "grids.fine.kind ease2 goes with source: archive or fetch, as the truth of the simulated Plateau lies on 0.1"
    ),
    "{grids: {fine: {kind: ease2}}, region: {lat: [30.0, 30.1]}}": "fewer than 2 x 2 cell centres of M09",
    # Fetching
    "source: fetch": "terrain: missing; source: fetch needs an elevation raster: name a local GeoTIFF, or an https",
    "{source: fetch, terrain: 'https://example.org/a.tif'}": "terrain_sha256: missing; what comes over the network is",
    "{source: fetch, terrain: 'http://example.org/a.tif'}": "terrain: an address such as https://host/name.tif",
    "{source: fetch, terrain: 'https://me:secret@example.org/a.tif'}": "without user name or query",
    "{source: fetch, terrain: 'https://example.org/a.tif?sig=secret'}": "without user name or query",
    "terrain: https://example.org/a.tif": "terrain: an address goes with source: fetch only: download the file",
    "terrain_sha256: 0123": "terrain_sha256: 64 hexadecimal digits expected, as sha256sum prints them (found 83)",
    f"{{terrain: a.tif, terrain_sha256: {64 * 'a'}}}": "terrain_sha256: goes with source: fetch only: take it out",
    "fetch: {retries: 3}": "fetch.retries: unknown key; the nearest valid key is 'retry'",
    "fetch: {retry: {first_wait_seconds: 700}}": (
        "fetch.retry: longest_wait_seconds 600 is less than first_wait_seconds 700: type the larger one as longest"
    ),
    "fetch: {smap: {products: [SPL3SMP_E]}}": "fetch.smap.products: SPL3SMP is missing: the pipeline is fed with it",
    "fetch: {smap: {products: [SPL3SMP, SPL3SMP]}}": "fetch.smap.products: SPL3SMP is listed twice: take one out",
    "fetch: {smap: {products: [SPL3SMP, SPL2SMP]}}": "'SPL3SMP', 'SPL3SMP_E' or 'SPL4SMGP' expected (found 'SPL2SMP')",
    "fetch: {smap: {versions: {SPL3SMP_E: 006}}}": (
        'fetch.smap.versions.SPL3SMP_E: 6 is no version: type three digits in quotes, such as "006"'
    ),
    "fetch: {smap: {l4_variables: [Geophysical_Data/sm_surface]}}": "type its name without group, such as sm_surface",
    "fetch: {smap: {without: ['2017-3-5']}}": "'2017-3-5' is no day: type it as 2017-03-05",
    "fetch: {smap: {l4_variables: []}}": "name each dataset once, and at least one",
    # The box
    "region: {lat: [40, 25]}": "region: latitude range [40.0, 25.0]: expected [south, north] within -90..90, south",
    "region: {lat: [80, 95]}": "region: latitude range [80.0, 95.0]: expected [south, north] within -90..90",
    "region: {lon: [170, -170]}": "split a region that crosses the antimeridian into two runs",
    "region: {lon: [350, 355]}": "region: longitude range [350.0, 355.0]: expected [west, east] within -180..180",
    "region: {lat: 30}": "region.lat: a list expected: put it in brackets, [30] (found 30)",
    "region: {lat: [30]}": "region.lat: a list of 2 numbers expected (found [30])",
    "region: {lat: [30, 31, 32]}": "region.lat: a list of 2 numbers expected (found [30, 31, 32])",
    "region: {lat: [30.0, 30.05]}": "region, grids: box lat [30.0, 30.05], lon [73.0, 105.0] holds fewer than 2 x 2",
    "region: {lat: [86, 88]}": "touches no cell of EASE-Grid 2.0 M36",
    # The period
    "period: 2016-01": "period: keys expected (start, end), found '2016-01'",
    "period: {start: 2016}": "period.start: '2016' is no month: type year and month, such as 2016-01",
    "period: {start: 2016-01-15}": "period.start: '2016-01-15' is no month: type year and month, such as 2016-01",
    "period: {start: 2016-1}": "period.start: '2016-1' is no month: type year and month, such as 2016-01",
    "period: {end: 2015-01}": "period: period 2016-01 to 2015-01: the end lies before the start",
    # The split
    "split: half": "split: 'auto', or keys (train, validation, test), expected (found 'half')",
    "split: [2016-01]": "split: 'auto', or keys (train, validation, test), expected (found ['2016-01'])",
    "split: {train: [2016-01]}": "split.validation: missing; add it\nsplit.test: missing; add it",
    "split: {train: 2016-01, validation: [2016-03], test: [2016-05]}": (
        "split.train: a list expected: put it in brackets, [2016-01] (found '2016-01')"
    ),
    "split: {train: [2016-01], validation: [2016-01-20/2016-02-20], test: [2016-05]}": (
        "split.train 2016-01-01 to 2016-01-31 overlaps split.validation 2016-01-20 to 2016-02-20: take it out of one"
    ),
    "split: {train: [2016-01], validation: [2016-03], test: [2019-01]}": (
        "split.test: 2019-01-01 to 2019-01-31 lies outside the period 2016-01 to 2018-12; change the entry, lengthen"
    ),
    "split: {train: [2016-01], validation: [2016-3], test: [2016-05]}": "split entry '2016-3': expected a month",
    "split: {train: [], validation: [2016-03], test: [2016-05]}": "split.train is empty: give it at least one",
    "{period: {end: 2016-01}}": "samples.window_days and samples.buffer_days to 4 or less",
    # The samples
    "samples: {buffer_days: 4}": (
        "samples.buffer_days 4 is shorter than samples.window_days 8, so test retrievals would be training input: "
        "type buffer_days: 8 or more"
    ),
    "samples: {window_days: 12}": "type buffer_days: 12 or more",
    "samples: {window_days: 0.5, leave_out_hours: 12}": "samples: leave_out_hours 12 leaves nothing of window_days 0.5",
    "samples: {time_scales_days: [5, 1]}": "samples: time_scales_days [5.0, 1.0]: type them ascending",
    "samples: {time_scales_days: [5, 5]}": "samples: time_scales_days [5.0, 5.0]: type them ascending",
    "samples: {time_scales_days: []}": "samples: time_scales_days []: type them ascending, such as [1.5, 5, 15]",
    "samples: {time_scales_days: [0.2, 1]}": "start above 0.5 days",
    # Held-out regions and gaps
    "samples: {withheld: [{lat: [33.01, 33.05], lon: [92.01, 92.05]}]}": (
        "samples.withheld.0: no SMAP cell of 36 km of the region has its centre in lat [33.01, 33.05], lon [92.01,"
    ),
    "samples: {withheld: [{lat: [50, 51], lon: [92, 93]}]}": "E: widen the box around it, or take it out",
    "samples: {withheld: [{lat: [25, 40], lon: [73, 95]}]}": (
        "of the 4002 SMAP cells would be withheld, at most half may be, so that enough is left to learn from"
    ),
    "samples: {withheld: [{lat: [34, 33], lon: [92, 93]}]}": "latitude range [34.0, 33.0]: expected [south, north]",
    "samples: {withheld: [{lat: [33], lon: [92, 93]}]}": (
        "samples.withheld.0.lat: a list of 2 numbers expected (found [33])"
    ),
    "samples: {withheld: [{lat: [33, 34]}]}": "samples.withheld.0.lon: missing; add it",
    "samples: {withheld: [{lat: [33, 34], long: [92, 93]}]}": "samples.withheld.0.long: unknown key; the nearest valid",
    "samples: {withheld: {lat: [33, 34], lon: [92, 93]}}": "samples.withheld: a list expected: put it in brackets",
    "validation: {gaps_days: [1, 8]}": "validation.gaps_days: a gap of 8 days hides all that samples.window_days 8",
    "validation: {gaps_days: [3, 1]}": "validation.gaps_days: [3.0, 1.0]: type days above 0, ascending and each once",
    "validation: {gaps_days: [0, 1]}": "validation.gaps_days: [0.0, 1.0]: type days above 0",
    # The third product
    "validation: {third: {path: a.nc, name: ASCAT}}": "validation.third.0.made_of: missing; add it",
    "validation: {third: [{path: a.nc, name: A, made_of: [A]}, {path: b.nc, name: A, made_of: [B]}]}": (
        "validation.third: A, A: give each product a name of its own"
    ),
    # The predictors
    "predictors: [swvl1, tpp]": "predictors: 'tpp' is no ERA5-Land short name; did you mean 'tp' (total precipitation)",
    "predictors: [swvl1, T2M]": "did you mean 't2m' (air temperature at 2 m)? Valid: swvl1, ",
    "predictors: [swvl1, total_precipitation]": "'total_precipitation' is no ERA5-Land short name; did you mean 'tp'",
    "predictors: [swvl1, volumetric_soil_water_layer2]": "did you mean 'swvl2' (soil water 7-28 cm)?",
    "predictors: [swvl1, tp, sd, tp]": "predictors: tp is listed twice: take one out",
    "predictors: [tp, stl1]": "predictors: swvl1 is missing: the background is made of it; add it to the list",
    "predictors: []": "predictors: swvl1 is missing",
    # The report
    "report: {month: 2019-01}": "report.month 2019-01 is not in the period 2016-01 to 2018-12: type one of its months",
    "report: {month: 2016-1}": "report.month: '2016-1' is no month",
    "report: {range: [0.4, 0.1]}": "report.range: [0.4, 0.1]: the lower limit comes first",
    "report: {places: [[91, 31]]}": "report.places: [91, 31] lies outside the region; a place is [latitude, longitude]",
    "report: {places: [31, 91]}": "report.places.0: a list expected: put it in brackets, [31] (found 31)",
}


@pytest.mark.parametrize("overlay", MISTAKES)
def test_mistakes_are_told_in_plain_words(base, overlay):
    said = complaint(base, overlay)
    assert MISTAKES[overlay] in said
    for jargon in ("SplitMonths", "literal[", "Input should", "valid tuple", "pattern '", "Value error", "pydantic"):
        assert jargon not in said


@pytest.mark.parametrize("variable", ERA5_LAND.values(), ids=lambda variable: variable.short)
def test_the_long_name_of_every_variable_leads_to_the_short_one(base, variable):
    assert f"did you mean {variable.short!r}" in complaint(base, f"predictors: [swvl1, {variable.request}]")


@pytest.mark.parametrize(
    "overlay",
    [
        "split: {train: [2016-01/2017-06], validation: [2017-08], test: [2017-10/2018-12]}",
        "split: {train: [2016-01, 2016-02-03], validation: [2016-03], test: [2016-05-01/2016-05-20]}",
        "{period: {start: 2016-05, end: 2016-05}, samples: {window_days: 4, buffer_days: 4}}",
        "samples: {window_days: 8, buffer_days: 8}",
        "report: {places: [[31, 91]], month: 2016-07}",
        "samples: {withheld: [{lat: [32, 33], lon: [92, 93]}, {lat: [35, 36], lon: [99, 101]}]}",
        "{samples: {window_days: 4, buffer_days: 4}, period: {end: 2016-01}}",  # of the default gaps those that fit
        "validation: {gaps_days: [0.5, 7], third: {path: a.nc, name: ASCAT, made_of: [ASCAT]}}",
        "model: {scales: [36km, 10km], without_bands: [day, 1.5d]}",
        "compare: {models: [mlp], seeds: 1}",
        "training: {learning_rate: 1e-3}",  # YAML reads this as a text
        "region: {lon: [-110, -105]}",
        "region: {lon: [179, 180]}",
        "training: {device: 'cuda:1'}",
        "grids: {fine: {kind: ease2, name: M09}}",
        "grids: {fine: {kind: regular, spacing: 0.1}}",
        "{source: fetch, terrain: a.tif, grids: {fine: {kind: ease2, name: M09}}}",
        f"{{source: fetch, terrain: 'https://example.org/a.tif', terrain_sha256: {64 * 'A'}}}",
        "fetch: {smap: {products: [SPL3SMP, SPL4SMGP], versions: {SPL4SMGP: '007'}}}",
    ],
)
def test_the_control_what_is_right_is_taken(base, overlay):
    load(laid_over(base, yaml.safe_load(overlay)))
