"""Which figures does a module of this room draw? Read from its source, so that a plan needs no drawing library."""

from __future__ import annotations

import ast
from pathlib import Path

#: Folder of the modules that draw.
ROOM = Path(__file__).resolve().parent

#: Name under which a module lists its figures: a dictionary whose keys are written out.
LIST = "FIGURES"


def figure_names(module: str, room: Path = ROOM) -> list[str]:
    """The keys of a module's ``FIGURES``, in their order.

    Parameters
    ----------
    module : str
        Name of a module of this room, such as ``satellite_figures``.
    room : Path
        Its folder.

    Raises
    ------
    LookupError
        When there is no such module, or it lists no figures by names that are written out.
    """
    path = room / f"{module}.py"
    if not path.is_file():
        raise LookupError(f"{path}: expected a module that lists its figures as {LIST}; found none: write it")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if not any(isinstance(name, ast.Name) and name.id == LIST for name in names):
            continue
        if isinstance(node.value, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.value.keys]
            if keys and all(isinstance(key, str) for key in keys):
                return [str(key) for key in keys]
    raise LookupError(f'{path}: expected {LIST} = {{"name": Caption(...), ...}} with names written out; found none')


def validation_figures(what: str, room: Path = ROOM) -> list[str]:
    """The figures of one validation, drawn by ``{what}_figures.py``; see :func:`figure_names`."""
    return figure_names(f"{what}_figures", room)
