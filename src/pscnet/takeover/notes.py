"""With which settings was each file last started? What a job finishes without its Snakemake has no other record."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from pscnet.takeover import FOLDER


def started_with(run: str, folder: Path = FOLDER) -> dict[str, str]:
    """With which settings each file was last started: path to digest of the configuration."""
    notes = _notes_of(run, folder)
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    return {path: settings for settings, _, path in (line.partition(" ") for line in lines) if path}


def note_start(run: str, settings: str, paths: Iterable[str], folder: Path = FOLDER) -> None:
    """Note with which settings files are started."""
    notes = _notes_of(run, folder)
    notes.parent.mkdir(parents=True, exist_ok=True)
    with open(notes, "a", encoding="utf-8") as file:
        file.write("".join(f"{settings} {path}\n" for path in paths))


def drop_notes(run: str, paths: Collection[str], folder: Path = FOLDER) -> None:
    """Drop the notes on files that have a record of Snakemake's."""
    kept = {path: settings for path, settings in started_with(run, folder).items() if path not in paths}
    notes = _notes_of(run, folder)
    part = notes.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text("".join(f"{settings} {path}\n" for path, settings in kept.items()), encoding="utf-8")
    part.replace(notes)


def _notes_of(run: str, folder: Path) -> Path:
    return folder / "heads" / f"{run}.started"
