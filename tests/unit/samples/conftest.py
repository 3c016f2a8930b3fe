"""The made-up run, made once."""

from __future__ import annotations

import pytest

from pscnet.samples.normaliser import write_normaliser
from tests.unit.samples.run import NOISE, MadeRun, make_run


@pytest.fixture(scope="session")
def made_run(tmp_path_factory) -> MadeRun:
    run = make_run(tmp_path_factory.mktemp("run"))
    train = ["2020-05"]
    write_normaliser(
        run.files("bands", train), run.files("coarse", train), run.files("smap", train),
        run.static, run.weights, run.split, NOISE, run.normaliser,
    )  # fmt: skip
    return run
