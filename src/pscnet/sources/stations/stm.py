"""What is in one ISMN file (.stm), from its name and its first lines, and how is it written without its oddities.

Both layouts of the network's downloads are known [readme of the downloads, ismn.earth]:

- **header+values**: a header line ``CSE network station lat lon elevation depth_from depth_to sensor``, then lines
  ``yyyy/mm/dd HH:MM value flag provider_flag``;
- **CEOP**: every line ``date time date time CSE network station lat lon elevation depth_from depth_to value flag
  provider_flag``.

A name is ``CSE_network_station_variable_depthfrom_depthto_sensor_start_end.stm``. Oddities: lines that end with CR only
or mixed, names of sensors and stations with spaces, provider's flags with spaces or none at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pscnet.sources.stations import wrapped

#: Variables of use by the name that files give them.
VARIABLES = {"sm": "sm", "soil-moisture": "sm", "ts": "ts", "soil-temperature": "ts"}

_DEPTH = r"-?\d+(?:\.\d+)?"
_NAME = re.compile(
    rf"(?P<cse>[^_]+)_(?P<network>[^_]+)_(?P<station>.+?)_(?P<variable>{'|'.join(VARIABLES)})"
    rf"(?:_(?P<top>{_DEPTH})_(?P<bottom>{_DEPTH}))?(?:_(?P<sensor>.+))?_(?P<first>\d{{8}})_(?P<last>\d{{8}})\.stm",
    re.IGNORECASE,
)
_OTHER_VARIABLE = re.compile(rf"_(?!sm_|ts_)[a-z-]+_{_DEPTH}_{_DEPTH}_", re.IGNORECASE)
_RECORD = re.compile(r"\d{4}/\d{2}/\d{2}\s+\d{2}:\d{2}(\s|$)")

#: Two statements of one depth may differ by this [m]: headers have two decimals.
_SAME_DEPTH = 0.0051


class StmError(ValueError):
    """A file that is not laid out as ISMN lays out its files; the message is the reason to leave it out."""


@dataclass(frozen=True)
class StmHead:
    """What name and first line of a file say.

    Attributes
    ----------
    network, station, variable, sensor : str
        ``variable`` is ``sm`` or ``ts``.
    lat, lon, elevation : float [degree, m]
    depth_from, depth_to : float or None [m]
    ceop : bool
        Layout CEOP, else header+values.
    value_word : int
        Position of the value among the words of a record.
    """

    network: str
    station: str
    variable: str
    sensor: str
    lat: float
    lon: float
    elevation: float
    depth_from: float | None
    depth_to: float | None
    ceop: bool
    value_word: int

    @property
    def file_name(self) -> str:
        """A name that the ``ismn`` library splits at its underscores without a doubt."""
        network, station, sensor = (_one_word(text) for text in (self.network, self.station, self.sensor))
        depths = f"{self.depth_from or 0.0:.6f}_{self.depth_to or 0.0:.6f}"
        return f"{network}_{network}_{station}_{self.variable}_{depths}_{sensor}_19500101_21000101.stm"


def _one_word(text: str) -> str:
    return re.sub(r"[\s_/\\]+", "-", text.strip()) or "unknown"


def is_of_use(path: str) -> bool:
    """Whether a file may hold soil moisture or soil temperature: its name says so, or says nothing about a variable."""
    name = PurePosixPath(path).name
    return bool(_NAME.fullmatch(name)) or not _OTHER_VARIABLE.search(name)


def variable_of(path: str) -> str | None:
    """``sm`` or ``ts`` by a file's name; None where it says neither."""
    name = _NAME.fullmatch(PurePosixPath(path).name)
    return VARIABLES[name["variable"].lower()] if name else None


def lines_of(content: bytes) -> Iterator[str]:
    """The lines that are not empty, whatever ends them."""
    return (line for line in content.decode("utf-8", errors="replace").splitlines() if line.strip())


def head_of(path: str, content: bytes) -> StmHead:
    """What a file is.

    Parameters
    ----------
    path : str
        POSIX path inside the archive, ``network/station/file``; the folder names the network, as for the library.
    content : bytes
        The file, or its first few thousand bytes.

    Raises
    ------
    StmError
        The name or the first lines are of another form.
    """
    pure = PurePosixPath(path)
    name = _NAME.fullmatch(pure.name)
    if name is None:
        raise StmError("the name is not CSE_network_station_variable_depthfrom_depthto_sensor_start_end.stm")
    lines = [line for _, line in zip(range(2), lines_of(content), strict=False)]
    if not lines:
        raise StmError("the file is empty")
    ceop = bool(_RECORD.match(lines[0].lstrip()))
    if not ceop and (len(lines) < 2 or not _RECORD.match(lines[1].lstrip())):
        raise StmError("no record after the header")
    words = lines[0].split()
    first = _first_number(words, name["station"], ceop)
    lat, lon, elevation = (_float(word) for word in words[first : first + 3])
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 360:
        raise StmError(f"no latitude and longitude in the first line {lines[0][:60]!r}")
    top, bottom, sensor = _depths(words[first + 3 :])
    if (top is None or bottom is None) and name["top"]:
        top, bottom = float(name["top"]), float(name["bottom"])
    elif name["top"] and max(abs(float(name["top"]) - top), abs(float(name["bottom"]) - bottom)) > _SAME_DEPTH:
        raise StmError(f"the name says {name['top']} to {name['bottom']} m, the first line {top:g} to {bottom:g} m")
    return StmHead(
        pure.parts[-3] if len(pure.parts) > 2 else name["network"],
        name["station"],
        VARIABLES[name["variable"].lower()],
        name["sensor"] or ("" if ceop else sensor) or "unknown",
        lat,
        wrapped(lon),
        elevation or 0.0,
        top,
        bottom,
        ceop,
        first + 5 if ceop else 2,
    )


def _first_number(words: list[str], station: str, ceop: bool) -> int:
    """Position of the latitude: the first of the numbers lat, lon, elevation, depths (and in CEOP the value).

    Raises
    ------
    StmError
        When fewer than three numbers follow each other.
    """
    begin = 6 if ceop else 2
    for first in range(begin, len(words) - 2):
        run = next((n for n, word in enumerate(words[first:]) if not _is_number(word)), len(words) - first)
        if run >= 3:
            # A station may be called 3.09: then one number more stands there.
            numbered = run > 5 + ceop and words[first] == re.split(r"[\s_]", station)[-1]
            return first + numbered
    raise StmError(f"no latitude, longitude and elevation in the first line {' '.join(words)[:60]!r}")


def _depths(words: list[str]) -> tuple[float | None, float | None, str]:
    """Both depths and what follows them; None where they are not given."""
    if len(words) < 2 or not (_is_number(words[0]) and _is_number(words[1])):
        return None, None, " ".join(words)
    return _float(words[0]), _float(words[1]), " ".join(words[2:])


def _float(text: str) -> float | None:
    """A number; None for the signs of a missing one."""
    number = math.nan if text == "-" else float(text)
    return None if math.isnan(number) else number


def plain_content(head: StmHead, content: bytes, first: str, last: str) -> tuple[bytes, int]:
    """The file as header+values with one word a column, for the ``ismn`` library.

    Parameters
    ----------
    head : StmHead
    content : bytes
    first, last : str
        Days ``yyyy/mm/dd``; records before the first or after the last are dropped.

    Returns
    -------
    content : bytes
    broken : int
        Lines that are no record: a value, a time or a flag is missing.
    """
    start = head.value_word
    network, station, sensor = (_one_word(text) for text in (head.network, head.station, head.sensor))
    depths = f"{head.depth_from:.4f} {head.depth_to:.4f}"
    kept = [f"{network} {network} {station} {head.lat:.5f} {head.lon:.5f} {head.elevation:.2f} {depths} {sensor}"]
    broken = 0
    lines = lines_of(content)
    if not head.ceop:
        next(lines)
    for line in lines:
        words = line.split()
        if not first <= words[0] <= last:
            broken += not _RECORD.match(line.lstrip())
        elif len(words) < start + 2 or words[start] == "-" or not _is_number(words[start]):
            broken += 1
        else:
            kept.append(
                f"{words[0]} {words[1]} {words[start]} {words[start + 1]} {'-'.join(words[start + 2 :]) or '-'}"
            )
    return ("\n".join(kept) + "\n").encode("utf-8"), broken


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True
