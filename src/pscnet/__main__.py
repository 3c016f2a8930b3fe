"""What can be asked from the command line: ``python -m pscnet doctor`` before a run, ``verify`` after it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

DOCTOR = "say in words what is missing before a run starts; exit code 1 when something is"
VERIFY = (
    "hash every file of the archive and of the run's manifests; bad ones go to quarantine; exit code 1 if any is bad"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        Exit code: 0 when all is well.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return 0
    return _doctor(given) if given.command == "doctor" else _verify(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pscnet", description="Seamless 10 km soil moisture. The run itself: snakemake --cores 8."
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, what in (("doctor", DOCTOR), ("verify", VERIFY)):
        command = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        command.add_argument(
            "--configfile", nargs="+", default=[], metavar="FILE", help="files on top of config/config.yaml, in order"
        )
        if name == "doctor":
            command.add_argument("--offline", action="store_true", help="ask no service")
    return parser


def _doctor(given: argparse.Namespace) -> int:
    from pscnet.doctor import diagnose
    from pscnet.doctor.findings import can_start, conclusion

    findings = []
    for finding in diagnose(given.configfile, given.offline):
        print(finding.line(), flush=True)
        findings.append(finding)
    print(f"\n{conclusion(findings)}")
    return 0 if can_start(findings) else 1


def _verify(given: argparse.Namespace) -> int:
    from pscnet.doctor import setting
    from pscnet.doctor.proof import prove

    config, finding = setting.read(given.configfile)
    if config is None:
        print(finding.line())
        return 1
    return prove(config, sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
