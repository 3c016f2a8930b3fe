"""Secrets never leave the process: known ones, and what looks like one, are masked in whatever is said."""

from __future__ import annotations

import base64
import logging
import os
import re
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pscnet.sources import SourceError
from pscnet.sources.fetch import FetchError

log = logging.getLogger(__name__)

MASK = "***"

_VARIABLES = ("CDSAPI_KEY", "ECMWF_DATASTORES_KEY", "EARTHDATA_TOKEN", "EARTHDATA_PASSWORD")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_KEY_FILES = (("CDSAPI_RC", "~/.cdsapirc"), ("ECMWF_DATASTORES_RC_FILE", "~/.ecmwfdatastoresrc"))
_NETRC_FILE = ("NETRC", "~/.netrc")
_KEY_LINE = re.compile(r"^\s*key\s*[:=]\s*(\S.*?)\s*$", re.MULTILINE)
_NETRC_PASSWORD = re.compile(r"\bpassword\s+(?:\"((?:[^\"\\]|\\.)*)\"|(\S+))")
_SHORTEST = 4  # shorter ones would mask ordinary text

_remembered: set[str] = set()
_lock = threading.RLock()


def remember(secret: str) -> None:
    """Mask a token obtained at run time from now on."""
    with _lock:
        _remembered.add(secret)


def known_secrets() -> set[str]:
    """The secrets now configured (environment, key files, netrc) and the remembered ones."""
    found = {os.environ.get(name, "") for name in _VARIABLES}
    found |= {unquote(urlsplit(os.environ.get(name, "")).password or "") for name in _PROXIES}
    for name, usual in _KEY_FILES:
        found.update(_in_file(os.environ.get(name) or usual, _KEY_LINE))
    found.update(_in_file(os.environ.get(_NETRC_FILE[0]) or _NETRC_FILE[1], _NETRC_PASSWORD))
    found |= {secret.partition(":")[2] for secret in found}  # the retired form user:key
    with _lock:
        found |= _remembered
    return {secret for secret in (text.strip() for text in found) if len(secret) >= _SHORTEST}


def _in_file(name: str, pattern: re.Pattern) -> tuple[str, ...]:
    path = Path(name).expanduser()
    try:
        stat = path.stat()
        return _read(path, stat.st_mtime_ns, stat.st_size, pattern)
    except OSError:  # a file that cannot be read here gives no secret to this process
        return ()


@lru_cache(maxsize=32)
def _read(path: Path, _time: int, _size: int, pattern: re.Pattern) -> tuple[str, ...]:
    """Matches in a file, read anew only when it changed."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return tuple(next(group for group in match.groups() if group) for match in pattern.finditer(text))


_QUERY = (
    r"x-amz-[\w-]+|x-goog-[\w-]+|signature|sig|awsaccesskeyid|key-pair-id|policy|a-userid|code|state|token|"
    r"access_token|refresh_token|id_token|client_secret|password|passwd|key|api_?key|secret|session"
)
_HEADER = r"private-token|(?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token"
_FIELD = r"(?:\w*_)?(?:password|passwd|token|secret|api_?key)|cdsapi_key|\w*datastores_key"
_PATTERNS = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        # user information of a URL
        (r"(?<=://)[^\s/@'\"<>]+(?=@)", MASK),
        # the query of a URL with a signature or a token, also where only path and query are shown
        (rf"(?i)\?(?=[^\s'\"<>]*(?<![\w-])(?:{_QUERY})=)[^\s'\"<>]*", f"?{MASK}"),
        # the same encoded, inside another query
        (rf"(?i)%3f(?=[^\s'\"<>]*(?:%3f|%26)(?:{_QUERY})%3d)[^\s'\"<>]*", f"%3F{MASK}"),
        (rf"(?i)%3f(?:{_QUERY})%3d[^\s'\"<>]*", f"%3F{MASK}"),
        # headers in a printed dictionary or list, and as lines
        (rf"(?i)(['\"](?:{_HEADER})\\?['\"]\s*[:=,]\s*)b?(\\?['\"])(?:(?!\2).)*\2", rf"\1{MASK}"),
        (rf"(?i)\b((?:{_HEADER})\s*[:=]\s*)[^\s'\"}}][^\r\n'\"}}]*", rf"\1{MASK}"),
        # fields of JSON, of forms and of the environment
        (rf"(?i)((?<!\w)\\?['\"](?:{_FIELD})\\?['\"]\s*[:=,]\s*b?\\?['\"])[^'\"\\]+", rf"\1{MASK}"),
        (rf"(?i)((?<!\w)(?:{_FIELD})=b?)(\\?['\"])(?:(?!\2).)+\2", rf"\1{MASK}"),
        (rf"(?i)((?<!\w)(?:{_FIELD})=)[^\s'\"&,}}\\]+", rf"\1{MASK}"),
        (r"\b(Bearer\s+)[A-Za-z0-9._~+/=%-]{3,}", rf"\1{MASK}"),
        (r"\b(bearer\s+)(?=[a-z._~+/=%-]*[A-Z0-9]|\S{16})[A-Za-z0-9._~+/=%-]{3,}", rf"\1{MASK}"),
        (r"\b([Bb]asic\s+)(?=[a-z+/_%-]*[A-Z0-9=])[A-Za-z0-9+/_=%-]{6,}", rf"\1{MASK}"),
        # JSON web tokens
        (r"\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,2}", MASK),
    )
)


def redact(text: str) -> str:
    """The text with known secrets, in every usual encoding, and all that looks like a credential masked.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        With :data:`MASK` in place of secrets; whole queries of signed URLs go.
    """
    text = str(text)
    known = _pattern(frozenset(known_secrets()))
    if known is not None:
        text = known.sub(MASK, text)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


@lru_cache(maxsize=16)
def _pattern(secrets: frozenset[str]) -> re.Pattern | None:
    forms = [form for secret in sorted(secrets, key=len, reverse=True) for form in _forms(secret)]
    return re.compile("|".join(forms)) if forms else None


def _forms(secret: str) -> Iterator[str]:
    """Patterns of a secret: plain or escaped character by character, and inside any base64 text."""
    yield "".join(_character(letter) for letter in secret)
    for octets in {secret.encode(), secret.encode("latin-1", errors="ignore")}:  # requests encodes passwords as Latin-1
        for shift in range(3):  # where the secret begins within a group of three bytes
            code = base64.b64encode(bytes(shift) + octets).decode().rstrip("=")
            begin = (0, 2, 3)[shift]  # first letter that depends on the secret alone
            end = (8 * (shift + len(octets))) // 6  # last one that does
            if end - begin >= 5:
                letters = r"(?:\\n|\s)*".join(_BASE64.get(letter, letter) for letter in code[begin:end])
                yield rf"{letters}(?:[A-Za-z0-9+/_=-]|%3[Dd])*"


# the letters that have a second form in URLs, or are escaped there
_BASE64 = {"+": "(?:[+-]|%2[Bb])", "/": "(?:[/_]|%2[Ff])"}


def _character(letter: str) -> str:
    """A character itself, percent-encoded (also twice), or escaped as in JSON, HTML and Python."""
    if letter.isascii() and letter.isalnum():
        return letter
    encoded = "".join(f"%(?:25)*(?i:{octet:02x})" for octet in letter.encode())
    escaped = "".join(rf"\\+x(?i:{octet:02x})" for octet in letter.encode())
    others = [rf"\\*{re.escape(letter)}", encoded, escaped, rf"\\+u(?i:{ord(letter):04x})", rf"&\#0*{ord(letter)};"]
    others += {"&": ["&amp;"], "<": ["&lt;"], ">": ["&gt;"], '"': ["&quot;"], "'": [r"&\#x27;"], " ": [r"\+"]}.get(
        letter, []
    )
    return f"(?:{'|'.join(others)})"


def public_url(url: str) -> str:
    """A URL without query, fragment and user information."""
    parts = urlsplit(str(url))
    return redact(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


@contextmanager
def guarded() -> Iterator[None]:
    """Let no secret out of the block through log records or exceptions.

    An error of the family of :class:`~pscnet.sources.SourceError` leaves as its own class, any other as a
    :class:`~pscnet.sources.fetch.FetchError` that names its type (its traceback goes to the log, masked); neither
    keeps the errors behind it, and neither does an interruption. Belongs inside :func:`pscnet.logs.log_to`, which
    prints what comes out of it.
    """
    with _masked_records():
        try:
            yield
            return
        except Exception as error:
            if not isinstance(error, SourceError):
                log.error("%s", redact("".join(traceback.format_exception(error))).rstrip())
            clean = _redacted(error)
        except BaseException as error:  # an interruption, maybe in the midst of an error with a signed link
            _bare(error)
            raise
        try:
            raise clean from None
        except SourceError:
            clean.__context__ = None  # set by Python, as the block's error is still being handled
            raise


def _redacted(error: Exception) -> SourceError:
    """A new error without the objects and errors that the first one holds."""
    if isinstance(error, SourceError):
        return type(error).__new__(type(error), redact(str(error)))
    text = redact(str(error)).strip()
    return FetchError(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _bare(error: BaseException) -> None:
    """Leave nothing of an interruption but itself with masked words: errors behind it would be printed too."""
    error.__cause__ = error.__context__ = None
    error.args = tuple(redact(word) if isinstance(word, str) else word for word in error.args)
    if isinstance(error, SystemExit) and isinstance(error.code, str):
        error.code = redact(error.code)


_guards = 0
_factory_before = None


@contextmanager
def _masked_records() -> Iterator[None]:
    """Mask all records: where they are made, and once more at the handlers of the root logger."""
    global _guards, _factory_before
    with _lock:
        if _guards == 0:
            _factory_before = logging.getLogRecordFactory()
            logging.setLogRecordFactory(_record)
        _guards += 1
    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(_mask_record)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_mask_record)
        with _lock:
            _guards -= 1
            if _guards == 0:
                logging.setLogRecordFactory(_factory_before)


def _record(*args: object, **kwargs: object) -> logging.LogRecord:
    record = _factory_before(*args, **kwargs)
    _mask_record(record)
    return record


def _mask_record(record: logging.LogRecord) -> bool:
    """Mask message, arguments, traceback and stack of a record; always true, as a filter that lets it pass."""
    try:
        message = record.getMessage()
    except Exception as error:  # arguments that do not fit: logging would print them unmasked
        message = f"{record.msg} {record.args} ({error})"
    record.msg, record.args = redact(message), None
    if record.exc_info:
        if not record.exc_text and record.exc_info[1] is not None:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_info = None
    if record.exc_text:
        record.exc_text = redact(record.exc_text)
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    return True
