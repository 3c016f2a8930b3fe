"""The figures of an explanation say what the files say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from pscnet.explain.items import list_items
from pscnet.nets import NetSpec
from pscnet.report.explanation import COLOURS, LABELS, SOURCES, draw_importance, draw_shares, write_explanation_figures
from pscnet.report.inputs import ReportError

KINDS = ["smap", "background", "predictor", "band", "channel", "static", "predictors"]


def document(count: int = 30) -> dict:
    items = [
        {"item": f"i{n}", "kind": KINDS[n % len(KINDS)], "increase": 1e-5 * n, "std": 1e-6, "relative": 0.01 * n}
        for n in range(count)
    ]
    items[5]["item"] = "static"
    return {
        "model": "pscnet", "part": "validation", "loss": 1e-3, "repeats": 5, "samples": {"06": 20, "07": 3},
        "items": items,
    }  # fmt: skip


def maps() -> xr.Dataset:
    share = np.stack([np.full((4, 5), value) for value in (0.25, 0.8, -0.05)])
    share[:, 0, 0] = np.nan
    return xr.Dataset(
        {"share": (("part", "lat", "lon"), share)},
        coords={
            "part": ["smap", "background", "residual"],
            "lat": np.linspace(32, 31.7, 4),
            "lon": np.linspace(90, 90.4, 5),
        },
    )


def test_the_most_important_items_stand_on_top():
    above, below = draw_importance(document(), 10).axes
    for axis in (above, below):
        widths = [bar.get_width() for bar in axis.patches]
        assert widths == sorted(widths, reverse=True)
        assert axis.yaxis_inverted()
    assert len(below.patches) == 10
    assert below.patches[0].get_width() == pytest.approx(100 * 25e-5 / 1e-3)
    assert [label.get_text() for label in below.get_yticklabels()][:3] == ["i25", "i24", "i23"]
    assert {label.get_text() for label in above.get_yticklabels()} >= {"i29", "static fields, moved in space"}
    assert "PSCNet" in above.get_title()
    assert "23 samples" in above.get_title()


def test_every_kind_of_item_has_its_colour():
    spec = NetSpec("pscnet", 2, 2, 4, 8.0)
    listed = list_items(["a:day", "a:level", "b:day", "b:level"], spec, kriged=True)
    assert {item.kind for item in listed} == set(COLOURS)
    assert {item.name for item in listed if item.kind in SOURCES} == set(LABELS)


def test_each_panel_shows_its_part():
    panels = draw_shares(maps()).axes[:3]
    assert [axis.get_title() for axis in panels] == [
        "SMAP; mean 0.25",
        "ERA5-Land (background); mean 0.80",
        "net (residual); mean -0.05",
    ]
    assert len({axis.collections[0].get_clim() for axis in panels}) == 1, "one scale"


def test_figures_are_written_and_repeat_exactly(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps(document(8)))
    maps().to_netcdf(tmp_path / "m.nc")
    made = []
    for name in ("a", "b"):
        paths = tmp_path / f"{name}_bars.png", tmp_path / f"{name}_shares.png"
        write_explanation_figures(tmp_path / "m.json", tmp_path / "m.nc", *paths, 20)
        made.append([path.read_bytes() for path in paths])
    assert made[0] == made[1]
    assert all(content.startswith(b"\x89PNG") for content in made[0])


def test_files_without_content_are_named(tmp_path):
    paths = tmp_path / "a.png", tmp_path / "b.png"
    (tmp_path / "m.json").write_text(json.dumps(document(6) | {"items": []}))
    maps().to_netcdf(tmp_path / "m.nc")
    with pytest.raises(ReportError, match=r"m\.json: importance of at least one item expected"):
        write_explanation_figures(tmp_path / "m.json", tmp_path / "m.nc", *paths, 20)
    (tmp_path / "m.json").write_text(json.dumps(document(6)))
    maps().drop_vars("share").to_netcdf(tmp_path / "n.nc")
    with pytest.raises(ReportError, match=r"n\.nc: share expected"):
        write_explanation_figures(tmp_path / "m.json", tmp_path / "n.nc", *paths, 20)
    assert not (tmp_path / "a.png").exists()
