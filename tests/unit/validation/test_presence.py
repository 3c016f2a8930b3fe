"""A month that is missing is named, with the rule that makes it."""

from __future__ import annotations

import pytest

from pscnet.validation import ScoreError
from pscnet.validation.presence import month_of, require_months, scored_months
from pscnet.validation.score_run import score_run


def test_months_of_scored_days():
    assert scored_months([("2016-07-05", "2016-08-11"), ("2016-12-01", "2017-01-01")]) == [
        "2016-07", "2016-08", "2016-12",
    ]  # fmt: skip
    assert month_of("results/run_2015-01/sm_demo_10km_3h_2016-07.nc") == "2016-07"
    assert month_of("build/run/static.nc") is None


def test_a_missing_month_is_named_with_its_rule(tmp_path):
    paths = [tmp_path / f"sm_r_10km_3h_2016-{month}.nc" for month in ("07", "08")]
    paths[0].touch()
    days = [("2016-07-05", "2016-08-11")]
    with pytest.raises(
        ScoreError, match=r"the product of 2016-08: .* no file .*2016-08\.nc.* rule product_month: snake"
    ):
        require_months(paths, days, "the product", "product_month")
    with pytest.raises(ScoreError, match=r"of 2016-08: .* found only 2016-07; .*sm_r_10km_3h_2016-08\.nc"):
        require_months(paths[:1], days, "the product", "product_month")
    paths[1].touch()
    require_months(paths, days, "the product", "product_month")


def test_a_run_is_not_scored_without_a_month(made_up_run, tmp_path):
    outputs = {name: tmp_path / name for name in ("scores_json", "scores_csv", "places_nc")}
    products = [made_up_run.paths("product")[0], tmp_path / "product_2016-08.nc"]
    with pytest.raises(ScoreError, match=r"the product of 2016-08: .* make it with the rule product_month"):
        score_run(**made_up_run.arguments(products=products, **outputs))
    assert not outputs["scores_json"].exists()
