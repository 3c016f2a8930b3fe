"""What jobs took beside what they ask for, and better numbers: ``python -m pscnet.demands runtimes``.

Records of several runs, of different sizes at best, give better numbers:

    python -m pscnet.demands runtimes --configfile config/demo.yaml --configfile my_run.yaml

With ``--also FILE`` the table says, too, what the same rules ask for in a run that has not been made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pscnet.config import Config
from pscnet.demands import DEMANDS, Demand, Demands
from pscnet.demands.records import Line, asked, read_records, suggest, table
from pscnet.doctor import setting


def main(arguments: Sequence[str] | None = None) -> int:
    """Print table and suggestions.

    Returns
    -------
    int
        Exit code: 0 when there are records.
    """
    parser = argparse.ArgumentParser(prog="python -m pscnet.demands", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", default=["runtimes"], metavar="FOLDER", help="such as runtimes")
    parser.add_argument(
        "--configfile",
        action="append",
        nargs="+",
        metavar="FILE",
        help="of one run, as given to snakemake; repeated for more",
    )
    parser.add_argument(
        "--also", nargs="+", metavar="FILE", help="configuration of a run to come: what its rules ask for is shown too"
    )
    given = parser.parse_args(arguments)
    found: list[Config] = []
    for overlays in [*(given.configfile or [[]]), *([given.also] if given.also else [])]:
        config, finding = setting.read(overlays)
        if config is None:
            print(finding.line())
            return 1
        found.append(config)
    also = found.pop() if given.also else None
    configs = {config.run: config for config in found}
    records = read_records(given.folders, configs)
    if not records:
        print(f"No records of {', '.join(configs)} below {', '.join(given.folders)}: name the run's --configfile.")
        return 1
    print("\n".join(shown(table(records, configs), also)))
    print("\nSuggested for DEMANDS in src/pscnet/demands/__init__.py:\n")
    for rule, demand in suggest(records, configs).items():
        print(f"    {entry(rule, demand)}{'' if DEMANDS.get(rule) == demand else '  # changed'}")
    return 0


def shown(lines: Sequence[Line], also: Config | None = None) -> list[str]:
    """The table in Markdown; with what another run's rules ask for at the first attempt where one is given."""
    titles = ["rule", "run", "jobs", "median [s]", "longest [s]", "memory [MB]", "asked [MB]", "asked [min]"]
    if also is not None:
        titles += [f"{also.run} [MB]", f"{also.run} [min]"]
    rows = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    more = None if also is None else Demands(also)
    for line in lines:
        wanted = [line.asked_mb, line.asked_minutes, *(() if more is None else asked(more, line.rule))]
        numbers = [f"{line.seconds:.1f}", f"{line.longest:.1f}", f"{line.mb:.0f}"]
        numbers += ["-" if value is None else str(value) for value in wanted]
        rows.append(f"| {line.rule} | {line.run} | {line.jobs} | {' | '.join(numbers)} |")
    return rows


def entry(rule: str, demand: Demand) -> str:
    """A line of the table of entries, as source text."""
    pairs = [f"({first:g}, {more:g})" for first, more in filter(None, (demand.mb, demand.seconds))]
    seconds = pairs[1] if demand.seconds else "None"
    passes = "" if demand.passes == "once" else f', "{demand.passes}"'
    return f'"{rule}": Demand("{demand.size}", {pairs[0]}, {seconds}{passes}),'


if __name__ == "__main__":
    sys.exit(main())
