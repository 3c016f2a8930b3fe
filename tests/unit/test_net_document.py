"""The examples of docs/net.md run as they stand, on a made-up run in the place of the demo."""

from __future__ import annotations

import re
import shutil

from pscnet.grids import WEIGHTS
from tests.conftest import REPOSITORY
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import MONTHS
from tests.unit.test_training import train

#: File names of the weights as the pipeline gives them.
NAMES = {
    "fine_to_coarse": "conservative_r0100_M36", "fine_to_middle": "conservative_r0100_M18",
    "middle_to_coarse": "conservative_M18_M36", "coarse_to_middle": "bilinear_M36_M18",
    "middle_to_fine": "bilinear_M18_r0100", "coarse_to_fine": "bilinear_M36_r0100",
}  # fmt: skip


def test_the_examples_run(made_run, tmp_path, monkeypatch, capsys):  # noqa: F811
    build = tmp_path / "build" / "demo"
    (build / "models").mkdir(parents=True)
    first = train(made_run, build / "models" / "pscnet_0.safetensors")
    for seed in (1, 2):
        shutil.copy(first, build / "models" / f"pscnet_{seed}.safetensors")
    for kind in ("predictors", "bands", "coarse", "smap"):
        (build / kind).mkdir()
        for month, file in zip(("2017-06", "2017-07", "2017-08"), made_run.files(kind), strict=True):
            shutil.copy(file, build / kind / f"{month}.nc")
    (build / "weights").mkdir()
    assert set(NAMES) == set(WEIGHTS)
    for name, path in made_run.weights.items():
        shutil.copy(path, build / "weights" / f"{NAMES[name]}.nc")
    shutil.copy(made_run.static, build / "static.nc")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/net.md").read_text(), re.S)
    assert len(blocks) == 3
    names: dict = {}
    for block in blocks:
        exec(compile(block, "docs/net.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "parameters" in printed and f"{MONTHS[1]}-01" in printed
