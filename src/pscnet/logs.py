"""Where did it say so: a rule's output goes to its log, an error also to the screen, with the log's name."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def log_to(path: str | Path) -> Iterator[TextIO]:
    """Send all output of the block, that of C libraries included, to a file.

    An exception is written to the file with its traceback and to the screen in a few lines, and ends the process with
    status 1.

    Parameters
    ----------
    path : str or Path
        Log file; an earlier one is replaced. Its folder is made where needed.

    Yields
    ------
    TextIO
        The job's own screen (terminal or SLURM log), line by line: for the few lines that a person waits for.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    screen = [os.dup(1), os.dup(2)]
    shown = open(os.dup(screen[1]), "w", encoding="utf-8", errors="replace", buffering=1)  # noqa: SIM115 (closed below)
    with open(path, "w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s", force=True)
    failure = ""
    try:
        yield shown
    except Exception as error:
        traceback.print_exc()
        failure = _banner(error, path)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, saved in zip((1, 2), screen, strict=True):
            os.dup2(saved, number)
            os.close(saved)
        shown.close()
    if failure:
        print(failure, file=sys.stderr, flush=True)
        raise SystemExit(1)


def _banner(error: Exception, path: Path) -> str:
    """What went wrong and where to read more, between two lines."""
    rule = "-" * 100
    return f"{rule}\n{type(error).__name__}: {error}\nThe whole story: {path}\n{rule}"
