"""The page: whole in one file, and honest about what is missing."""

from __future__ import annotations

import base64
import json
import re
import zlib

import numpy as np
import pytest
import xarray as xr

from pscnet.report.inputs import ReportError, read_month, read_retrievals
from pscnet.report.page.packing import FROZEN, NOTHING, pack, pack_within, quantise
from pscnet.report.page.whole import PAGE_LIMIT, write_page
from pscnet.report.run_figures import write_run_figures
from pscnet.validation.score_run import score_run


def _data(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def test_the_page_needs_no_network_and_is_small(page, page_path):
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\((?!data:)", page)
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(link.startswith(("data:", "#")) for link in links)
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside and inside <= set(re.findall(r' id="([^"]*)"', page))
    assert page_path.stat().st_size < min(PAGE_LIMIT, 3_000_000)
    assert "default-src 'none'" in page and page.startswith("<!DOCTYPE html>")


def test_what_was_run_is_shown_and_escaped(page):
    assert "commit of this page" in page and "31.5, 33.5" in page and "made_up" in page
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
    assert "<b>for a test</b>" not in page and "&lt;b&gt;for a test" in page


def test_nothing_of_the_machine_is_shown(page, made_up_run):
    import getpass
    import socket

    assert str(made_up_run.folder) not in page
    assert socket.gethostname() not in re.sub(r"data:[^\"]*|<script.*?</script>", "", page, flags=re.S)
    assert f"/{getpass.getuser()}/" not in page


def test_raw_files_and_their_gaps_are_counted(page):
    table = re.search(r"<span>Raw files</span>.*?</table>", page, re.S).group(0)
    assert re.search(r"SMAP SPL3SMP</th>.*?2016-07-03", table, re.S)
    assert "variable tp" in table and "2.0" in table and "R19240_001" in table


def test_time_and_memory_are_those_of_this_run(page):
    table = re.search(r"<span>Time and memory by rule</span>.*?</table>", page, re.S).group(0)
    row = re.search(r"train_model</th>(.*?)</tr>", table, re.S).group(1)
    assert re.findall(r'data-value="([^"]*)"', row) == ["2.0", "30.5", "20.0", "9.5", "600.0"]
    assert "verify_scores" in table and "regrid_smap" not in table and "999" not in table


def test_a_run_without_records_has_no_such_section(arguments, tmp_path):
    text = write_page(**arguments | {"page": tmp_path / "r.html", "runtimes": tmp_path}).read_text(encoding="utf-8")
    assert "Time and memory" not in text


def test_the_tables_are_there(page):
    assert "Agreement with SMAP, 36 km" in page and "Against the simulated truth" in page
    assert "What was to be reached" in page and "SMAP, interpolated" in page
    assert "accuracy" not in page.lower()
    assert page.count("no complaint") == 1
    assert page.count("<table") == page.count("<caption")


def test_a_validation_is_shown_with_its_tables_and_figures(page):
    section = re.search(r'<section aria-labelledby="stations-title">.*?</section>', page, re.S).group(0)
    assert "Findings of stations" in section and "Fewer than 120 common stamps" in section
    assert 'alt="A line that goes up from the left to the right"' in section
    ours = re.search(r'<tr class="ours"><th scope="row">PSCNet \(product\)</th>(.*?)</tr>', section, re.S).group(1)
    assert "<b>0.800</b><small>0.700 to 0.900</small>" in ours and "TWINMAQU" in ours
    assert "<details><summary>Sensors (30 rows)</summary>" in section, "long tables are folded"
    assert "<summary>Networks" not in section
    assert "Nothing to show. No region was withheld." in section, "a table without rows says why"
    gap = re.findall(r"<td>–</td>", section)
    assert len(gap) == 2, "an undefined number is a dash without a value to sort by"


@pytest.mark.parametrize("none", [{"documents": [], "document_figures": None, "stations": None}, {"stations": None}])
def test_a_run_without_validations_or_stations_has_a_page(arguments, tmp_path, none):
    text = write_page(**arguments | {"page": tmp_path / "r.html"} | none).read_text(encoding="utf-8")
    assert 'id="station"' not in text and _data(text)["stations"] == []
    assert ("Findings of stations" in text) == ("documents" not in none)


def test_stations_lie_in_their_cells_and_those_outside_are_left_out(page):
    data = _data(page)
    assert [station["name"] for station in data["stations"]] == ["TWINMAQU, ST01", "TWINMAQU, ST02"]
    first, second = data["stations"]
    assert (data["lat"][first["row"]], data["lon"][first["column"]]) == (32.5, 91.5)
    assert len(first["hours"]) == len(first["values"]) == 248, "the month that is shown"
    assert len(second["hours"]) < 248 + 1 and None not in second["values"]


def test_every_image_has_words(page):
    assert all(re.search(r' alt="[^"]{15,}"', tag) for tag in re.findall(r"<img[^>]*>", page))
    assert all("aria-" in tag for tag in re.findall(r"<canvas[^>]*>", page))


def test_the_fields_come_back_from_the_page(page, made_up_run):
    data = _data(page)
    month = read_month(made_up_run.paths("product")[1], made_up_run.paths("fields")[1])
    codes = np.frombuffer(zlib.decompress(base64.b64decode(data["fields"]["pscnet"])), np.uint8).reshape(data["shape"])
    codes = np.cumsum(codes, axis=0, dtype=np.uint8)
    land = np.isfinite(month.moisture)
    assert (codes[~land] == NOTHING).all()
    error = codes[land] * data["high"] / 253 - np.maximum(month.moisture[land], 0)
    assert np.abs(error).max() <= data["high"] / 506 + 1e-6
    assert len(data["hours"]) == data["shape"][0] == 248
    assert set(data["fields"]) == {"pscnet", "sigma", "era5_land"}
    assert "truth" in data["places"][0]["lines"] and "truth" not in data["fields"]


def test_codes_of_missing_values():
    values = np.array([0.0, 0.5, 2.0, np.nan, np.nan])
    frozen = np.array([False, False, True, True, False])
    assert quantise(values, 1.0, frozen).tolist() == [0, 126, 253, FROZEN, NOTHING]


def test_long_months_are_thinned_to_fit():
    noise = {"a": np.random.default_rng(0).integers(0, 256, (64, 40, 40)).astype(np.uint8)}
    whole = len(pack(noise["a"]))
    stride, packed = pack_within(noise, whole // 3)
    assert stride == 4 and len(packed["a"]) <= whole // 3
    assert pack_within(noise, whole)[0] == 1


def test_latest_retrievals(made_up_run):
    month = read_month(made_up_run.paths("product")[1], None)
    retrievals = read_retrievals(made_up_run.paths("smap"), month.times[0])
    first = np.nanmin(retrievals.times.astype("i8")[~np.isnat(retrievals.times)])
    assert first >= (month.times[0] - np.timedelta64(5, "D")).astype("i8")
    stamp = month.times[100]
    value, age = retrievals.latest(stamp)
    for y, x in [(0, 0), (2, 3)]:
        ages = (stamp - retrievals.times[:, y, x]) / np.timedelta64(1, "h")
        usable = [i for i, a in enumerate(ages) if -1.5 <= a <= 72]
        if not usable:
            assert np.isnan(value[y, x])
            continue
        newest = min(usable, key=lambda i: ages[i])
        assert value[y, x] == retrievals.moisture[newest, y, x] and age[y, x] == ages[newest]


def test_a_run_without_truth_has_a_page(made_up_run, arguments, tmp_path):
    scored = {name: tmp_path / name for name in ("scores_json", "scores_csv", "places_nc")}
    score_run(**made_up_run.arguments(truths=[], **scored))
    changes = {"scores": scored["scores_json"], "places": scored["places_nc"]}
    drawn = {key: arguments[key] for key in ("product", "smap", "inputs")} | changes
    write_run_figures(folder=tmp_path / "figures", index=tmp_path / "figures.json", **drawn)
    changes |= {"references": None, "curves": [], "checks": [], "page": tmp_path / "r.html"}
    changes |= {"figures": tmp_path / "figures.json"}
    text = write_page(**(arguments | changes)).read_text(encoding="utf-8")
    assert "simulated truth" not in text and "Training</h2>" not in text
    assert set(_data(text)["fields"]) == {"pscnet", "sigma"}


def test_all_members_of_an_ensemble_are_shown(page):
    assert "Member 1: 3 epochs" in page and "Member 2: 3 epochs" in page
    assert [len(curve) for curve in _data(page)["curves"]] == [3, 3]


def test_bad_input_is_named_and_the_old_page_stays(made_up_run, arguments, tmp_path):
    old = tmp_path / "report.html"
    old.write_text("old")
    broken = tmp_path / "product.nc"
    with xr.open_dataset(made_up_run.paths("product")[1]) as product:
        product.drop_vars("flag").to_netcdf(broken)
    with pytest.raises(ReportError, match=r"product.nc: expected the variables .*flag missing"):
        write_page(**(arguments | {"page": old, "product": broken}))
    with pytest.raises(ReportError, match="expected the stamps and cells"):
        write_page(**(arguments | {"page": old, "references": made_up_run.paths("fields")[0]}))
    curve = tmp_path / "curve.csv"
    curve.write_text("epoch,loss\n1,2\n")
    with pytest.raises(ReportError, match=r"curve.csv: expected the columns epoch"):
        write_page(**(arguments | {"page": old, "curves": [curve]}))
    with pytest.raises(ReportError, match=r"lat, lon, in_situ expected, not found; rerun validate_stations"):
        series = tmp_path / "series.nc"
        with xr.open_dataset(arguments["stations"]) as good:
            good.drop_vars(["lat", "lon", "in_situ"]).to_netcdf(series)
        write_page(**(arguments | {"page": old, "stations": series}))
    index = tmp_path / "figures.json"
    index.write_text('[{"name": "map", "title": "t", "alt": "a", "png": "gone.png"}]')
    with pytest.raises(ReportError, match=r"gone.png: expected the figure map; .*draw it again"):
        write_page(**(arguments | {"page": old, "figures": index}))
    assert old.read_text() == "old"


def test_the_page_names_the_net_that_made_the_product(page, arguments, tmp_path):
    other = {"page": tmp_path / "report.html", "summary": arguments["summary"] | {"model": {"name": "unet"}}}
    text = write_page(**arguments | other).read_text(encoding="utf-8")
    for shown in ("U-Net (product)", '<option value="pscnet">U-Net, 10 km</option>'):
        assert shown in text
        assert shown.replace("U-Net", "PSCNet") in page
        assert shown.replace("U-Net", "PSCNet") not in text
    assert (_data(text)["net"], _data(text)["names"]["pscnet"]) == ("U-Net", "U-Net, 10 km")
