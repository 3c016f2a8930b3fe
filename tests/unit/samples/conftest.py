"""The made-up run, made once."""

from __future__ import annotations

import pytest

from pscnet.channels import LEARNT_PARTS
from pscnet.samples.files import write_kriged_file, write_sample_files, write_sequence_files
from pscnet.samples.kriged import kriging
from pscnet.samples.normaliser import write_normaliser
from pscnet.samples.store import sample_file
from pscnet.weights import read_weights
from tests.unit.samples.run import LEAVE_OUT_HOURS, MONTHS, NOISE, SEQUENCE_DAYS, WINDOW_DAYS, MadeRun, make_run


@pytest.fixture(scope="session")
def made_run(tmp_path_factory) -> MadeRun:
    run = make_run(tmp_path_factory.mktemp("run"))
    train = ["2020-05"]
    write_normaliser(
        run.files("bands", train), run.files("coarse", train), run.files("smap", train),
        run.static, run.weights, run.split, NOISE, run.normaliser,
    )  # fmt: skip
    write_all_samples(run)
    return run


def write_all_samples(run: MadeRun) -> None:
    """The sample files of both parts that are learnt from."""
    conservative = read_weights(run.weights["fine_to_coarse"])
    for part in LEARNT_PARTS:
        write_sample_files(
            MONTHS, run.files("predictors"), run.files("bands"), run.files("coarse"), run.files("smap"), run.static,
            run.normaliser, conservative, run.split, part, WINDOW_DAYS, run.samples,
        )  # fmt: skip
        write_sequence_files(run.files("predictors"), run.static, run.normaliser, part, SEQUENCE_DAYS, run.samples)
        for causal in (False, True):
            write_kriged_file(
                run.files("coarse"), run.files("smap"), sample_file(run.samples, part, "stamps"), run.normaliser,
                run.covariance, conservative, run.split, WINDOW_DAYS, LEAVE_OUT_HOURS, causal,
                sample_file(run.samples, part, kriging(causal)),
            )  # fmt: skip
