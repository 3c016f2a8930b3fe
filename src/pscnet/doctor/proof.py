"""Is every file still the one that was verified: the archive against its ledger, the run against its manifests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pscnet.config import Config
from pscnet.doctor.findings import gigabytes
from pscnet.sources import SourceError
from pscnet.sources import manifest as manifests
from pscnet.sources.fetch.ledger import Ledger
from pscnet.sources.fetch.secrets import redact


def prove(config: Config, screen: TextIO) -> int:
    """Hash every recorded file of the archive and every file of the run's manifests.

    Bad files of the archive go into its quarantine with the reason, so that the next ``snakemake`` fetches them again.
    A manifest only bears witness: what it lists is not moved.

    Parameters
    ----------
    config : Config
    screen : text stream
        For lines in words.

    Returns
    -------
    int
        Exit code: 1 when something was bad, else 0.
    """
    proven: dict[Path, str] = {}
    with _told(screen):
        bad = _archive(Ledger(config.archive), proven, screen)
    unproven = _manifests(Path("build") / config.run / "manifests", proven, screen)
    if bad or unproven:
        remedy = (
            "The next snakemake run fetches again what is missing"
            if config.source == "fetch"
            else "Put good files in their place, and run snakemake again"
        )
        print(f"Bad files in the archive: {bad}; manifests that cannot be proven: {unproven}. {remedy}.", file=screen)
        return 1
    print("All of it is as it was verified." if proven else "There is nothing to verify yet.", file=screen)
    return 0


def _archive(ledger: Ledger, proven: dict[Path, str], screen: TextIO) -> int:
    """Hash the files of the ledger; returns how many were bad, and adds the good ones to ``proven``."""
    total, size, bad = 0, 0, 0
    for file in sorted((ledger.hidden / "files").glob("*/*.json")):
        source, month = file.parent.name, file.stem
        before = ledger.records(source, month)
        try:
            good = ledger.good(source, month, full=True)
        except SourceError as error:  # a file that cannot be read: nothing is known of it, so nothing is moved
            print(f"  {redact(str(error))}", file=screen)
            good = []
        bad += len(before) - len(good)
        total, size = total + len(before), size + sum(record.size for record in good)
        proven |= {(ledger.archive / record.path).resolve(): record.sha256 for record in good}
    if total:
        print(f"archive {ledger.archive}: {total - bad} of {total} files good ({gigabytes(size)})", file=screen)
    else:
        print(f"archive {ledger.archive}: nothing in it was fetched, so that nothing is on record", file=screen)
    return bad


def _manifests(folder: Path, proven: dict[Path, str], screen: TextIO) -> int:
    """Prove each manifest of a run; returns how many could not be."""
    paths = sorted(folder.rglob("*.json"))
    bad = 0
    for path in paths:
        complaints = list(doubts(path, proven))
        bad += bool(complaints)
        for complaint in complaints:
            print(f"  {path}: {redact(complaint)}", file=screen)
    if paths:
        print(f"manifests {folder}: {len(paths) - bad} of {len(paths)} proven", file=screen)
    else:
        print(f"manifests {folder}: none yet", file=screen)
    return bad


def doubts(path: Path, proven: dict[Path, str]) -> Iterator[str]:
    """What of a manifest cannot be proven.

    Parameters
    ----------
    path : Path
    proven : dict of Path to str
        Hashes of files that were hashed already, by resolved path; more are added.
    """
    try:
        found = manifests.read(path)
    except SourceError as error:
        yield str(error)
        return
    for entry in found.files:
        try:
            place = manifests.confined(found.root, entry.path, path).resolve()
            if not place.exists():
                yield f"{entry.path} is not there"
                continue
            if place not in proven:
                proven[place] = manifests.hash_file(place)
        except SourceError as error:
            yield str(error)
            continue
        if proven[place] != entry.sha256:
            yield f"{entry.path} has other bytes than when the manifest was written"


@contextmanager
def _told(screen: TextIO) -> Iterator[None]:
    """Show what the ledger says of bad files."""
    handler = logging.StreamHandler(screen)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("  %(message)s"))
    logger = logging.getLogger("pscnet.sources.fetch")
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
