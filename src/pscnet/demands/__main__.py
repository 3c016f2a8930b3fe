"""What jobs took beside what they ask for, and better numbers: ``python -m pscnet.demands runtimes``.

Records of several runs, of different sizes at best, give better numbers:

    python -m pscnet.demands runtimes --configfile config/demo.yaml --configfile my_run.yaml
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pscnet.demands import DEMANDS, Demand
from pscnet.demands.records import Line, read_records, suggest, table
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
    given = parser.parse_args(arguments)
    configs = {}
    for overlays in given.configfile or [[]]:
        config, finding = setting.read(overlays)
        if config is None:
            print(finding.line())
            return 1
        configs[config.run] = config
    records = read_records(given.folders, configs)
    if not records:
        print(f"No records of {', '.join(configs)} below {', '.join(given.folders)}: name the run's --configfile.")
        return 1
    print("\n".join(shown(table(records, configs))))
    print("\nSuggested for DEMANDS in src/pscnet/demands/__init__.py:\n")
    for rule, demand in suggest(records, configs).items():
        print(f"    {entry(rule, demand)}{'' if DEMANDS.get(rule) == demand else '  # changed'}")
    return 0


def shown(lines: Sequence[Line]) -> list[str]:
    """The table in Markdown."""
    rows = ["| rule | run | jobs | median [s] | longest [s] | memory [MB] | asked [MB] | asked [min] |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for line in lines:
        asked = ["-" if value is None else str(value) for value in (line.asked_mb, line.asked_minutes)]
        numbers = [f"{line.seconds:.1f}", f"{line.longest:.1f}", f"{line.mb:.0f}", *asked]
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
