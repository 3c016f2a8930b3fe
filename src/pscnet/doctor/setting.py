"""What is to run: configuration files laid over each other as Snakemake does, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pscnet import config
from pscnet.complaints import nearest
from pscnet.doctor.findings import Finding, missing, ok

#: The file that every overlay goes on top of, relative to the folder of the checkout.
BASE = Path("config") / "config.yaml"


def read(overlays: Sequence[str | Path] = (), base: str | Path = BASE) -> tuple[config.Config | None, Finding]:
    """The configuration of a run, or why there is none.

    Parameters
    ----------
    overlays : sequence of path
        As given to ``snakemake --configfile``, in this order.
    base : path
        Relative to the working directory.
    """
    files = [Path(base), *map(Path, overlays)]
    mapping: Mapping[str, Any] = {}
    for file in files:
        layer = _load(file)
        if isinstance(layer, str):
            return None, missing("configuration", layer)
        mapping = overlaid(mapping, layer)
    try:
        found = config.load(mapping)
    except config.ConfigError as error:
        return None, missing("configuration", "; ".join(str(error).splitlines()))
    names = " + ".join(map(str, files))
    period = f"{found.period.start} to {found.period.end}"
    return found, ok("configuration", f"{names}: run {found.run}, {period}, source {found.source}")


def _load(file: Path) -> Mapping[str, Any] | str:
    """The content of one file, or what is wrong with it in words."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file == BASE:
            return f"{file} is not here; run this in the folder of the checkout"
        there = [path.name for path in file.parent.glob("*.yaml")] if file.parent.is_dir() else []
        return f"{file} does not exist" + (
            f"; did you mean {file.parent / nearest(file.name, there)}?" if there else ""
        )
    except (OSError, UnicodeDecodeError) as error:
        return f"{file} cannot be read ({error})"
    except yaml.YAMLError as error:
        return f"{file} is no valid YAML: {error}"
    if content is None:
        return {}
    return content if isinstance(content, Mapping) else f"{file}: keys with values expected, such as run: my_run"


def overlaid(below: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``: sections key by key, all else replaced, as ``snakemake --configfile`` does."""
    merged = dict(below) if isinstance(below, Mapping) else {}
    for key, value in above.items():
        merged[key] = overlaid(merged.get(key), value) if isinstance(value, Mapping) else value
    return merged
