"""Run a command in a small internet of its own, whose Climate Data Store and Earthdata have a simulated Plateau.

    python -m tests.servers --configfile config/demo_fetch.yaml -- snakemake -c 2 --configfile config/demo_fetch.yaml

Region, months and predictors are those of the configuration. Accounts are made up, and given to the command in its
environment; every host but the services' is refused.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from pscnet.config import Config, load
from pscnet.sections import is_address
from tests.servers.cds import Cds
from tests.servers.earthdata import Earthdata
from tests.servers.internet import Internet
from tests.servers.world import World

BASE = Path("config/config.yaml")

#: The accounts of the command.
CDS_KEY, USER, PASSWORD = "6ed1f0d4-demo-key-of-nobody", "visitor", "prayer&flags=5200m"

#: How long a request of the Climate Data Store stays accepted and running [s]: long enough to be seen.
QUEUE, WORK = 2.0, 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    options = _parser().parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    config = load(_merged(BASE, *options.configfile))
    world = _world(config, Path(options.folder or f"build/{config.run}/world"))
    cds = Cds(world, key=CDS_KEY, queue=options.queue, work=options.work)
    with Internet([cds, Earthdata(world, user=USER, password=PASSWORD)]) as net:
        status = subprocess.run(command, env=_environment(net), check=False).returncode
        print(_account(net, cds), flush=True)
    world.close()
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", nargs="+", required=True, help="overlays on config/config.yaml")
    parser.add_argument("--folder", help="where the simulated files are kept; default build/{run}/world")
    parser.add_argument("--queue", type=float, default=QUEUE, help="seconds that CDS requests stay accepted")
    parser.add_argument("--work", type=float, default=WORK, help="seconds that CDS requests run")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    return parser


def _merged(*files: str | Path) -> dict[str, Any]:
    """The files laid over each other as Snakemake does it."""
    merged: dict[str, Any] = {}
    for file in files:
        update_config(merged, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    return merged


def _world(config: Config, folder: Path) -> World:
    """The simulated files, and the elevation where the configuration expects it."""
    print(f"Simulating what the services have, into {folder} (once) ...", flush=True)
    region = config.region
    world = World(folder, region.lat, region.lon, config.months(), config.predictors, config.twin.seed)
    if config.terrain and not is_address(config.terrain) and not Path(config.terrain).exists():
        Path(config.terrain).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(world.elevation(), config.terrain)
    return world


def _environment(net: Internet) -> dict[str, str]:
    """That of the internet; commands are those of this Python's environment first."""
    own = net.full_environment()
    return own | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", os.defpath)])}


def _account(net: Internet, cds: Cds) -> str:
    """What the services saw, in words."""
    requests = net.requests()
    sent = sum(record.sent for record in requests)
    lines = [
        f"The local services answered {len(requests)} requests with {sent / 1e6:.1f} MB;",
        f"the Climate Data Store had {len(cds.jobs)} jobs, {len(cds.needless)} of them needless.",
    ]
    lines += [f"  {host}: {count}" for host, count in sorted(Counter(record.host for record in requests).items())]
    lines += [f"Refused: {host} ({count} times)" for host, count in sorted(Counter(net.refused).items())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
