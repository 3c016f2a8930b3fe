"""The object store behind the local Climate Data Store: links, ETags and everything that befalls a download."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tests.servers.cds_jobs import Job
from tests.servers.faults import Faults
from tests.servers.internet import Answer, Request, ranged

HOST = "object-store.os-api.cci2.ecmwf.int"

MIB = 2**20
#: Size of the parts of a multipart upload, and from which size on there is one (s3fs).
PART, MULTIPART_FROM = 50 * MIB, 100 * MIB

Shape = Literal["mixed", "md5", "leading_zero", "multipart", "other_parts"]

HTML = b"<!DOCTYPE html>\n<html><head><title>Service page</title></head><body>Please try again later.</body></html>\n"


@dataclass
class Link:
    """One address of a file, and what has become of it."""

    path: str
    content: Path
    etag: str
    job: Job
    dead: bool = False
    ranges: bool = True
    ignores_ranges: bool = False


@lru_cache(maxsize=1024)
def etag_of(content: Path, shape: Shape) -> str:
    """The ETag that an S3 store gives to a file: MD5, or MD5 of the parts' MD5s and their number."""
    data = content.read_bytes()
    whole = hashlib.md5(data).hexdigest()
    multipart = len(data) >= MULTIPART_FROM or shape == "multipart" or (shape == "mixed" and whole[-1] in "02468ace")
    if shape == "other_parts":
        return f"{hashlib.md5(whole.encode()).hexdigest()}-7"  # nobody can recompute it
    if not multipart:
        return whole
    parts = [hashlib.md5(data[at : at + PART]).digest() for at in range(0, max(len(data), 1), PART)]
    return f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"


def checksum_of(etag: str) -> str:
    """``file:checksum`` as the service makes it of an ETag: an integer in hex, without leading zeros."""
    return f"{int(etag.partition('-')[0], 16):x}"


def _with_leading_zero(content: Path) -> Path:
    """The file with bytes behind its end, which NetCDF does not mind, until its MD5 starts with a zero."""
    target = content.with_name(f"{content.name}.zero")
    data, padding = content.read_bytes(), b""
    while not hashlib.md5(data + padding).hexdigest().startswith("0"):
        padding += b"\0"
    target.write_bytes(data + padding)
    return target


class Store:
    """Links to the results of jobs."""

    def __init__(self, faults: Faults, shape: Shape) -> None:
        self.faults, self.shape = faults, shape
        self.links: dict[str, Link] = {}
        self._lock = threading.Lock()

    def asset(self, job: Job) -> dict:
        """The asset JSON of a finished job, with a link that works at this moment."""
        with self._lock:
            link = self._link(job)
        size, checksum = link.content.stat().st_size, checksum_of(link.etag)
        if self.faults.take("cds_wrong_size"):
            size += 4321
        if self.faults.take("cds_wrong_checksum"):
            checksum = hashlib.md5(checksum.encode()).hexdigest().lstrip("0")
        kind = "zip" if link.path.endswith(".zip") else "netcdf"
        value = {
            "type": f"application/{kind}",
            "href": f"https://{HOST}{link.path}",
            "file:checksum": checksum,
            "file:size": size,
            "file:local_path": f"s3:/{link.path}",
            "xarray:open_kwargs": {},
            "xarray:storage_options": {},
        }
        if self.faults.take("cds_no_checksum"):
            del value["file:checksum"]
        return {"asset": {"value": value}}

    def _link(self, job: Job) -> Link:
        for number in range(1, 1000):
            name = hashlib.md5(json.dumps([job.key, job.flaw, job.id]).encode()).hexdigest()
            with open(job.content, "rb") as stream:
                suffix = "zip" if stream.read(2) == b"PK" else "nc"
            path = f"/cci2-prod-cache-{number}/2025-01-01/{name}.{suffix}"
            if path not in self.links:
                content = _with_leading_zero(job.content) if self.shape == "leading_zero" else job.content
                self.links[path] = Link(path, content, etag_of(content, self.shape), job)
            if not self.links[path].dead:
                return self.links[path]
        raise AssertionError("every link has expired")

    def answer(self, request: Request) -> Answer:
        """HEAD or GET of a file."""
        link = self.links.get(request.path)
        if "private-token" in request.headers:
            return _xml(400, "InvalidRequest", "the key of the CDS has no business here")
        if request.method == "GET" and self.faults.take("cds_store_refuses"):
            return _xml(403, "AccessDenied", "Access Denied.")
        if link is None:
            return _xml(404, "NoSuchKey", "The specified key does not exist.")
        if request.method == "HEAD":
            for fault, status in (("cds_head_403", 403), ("cds_head_405", 405)):
                if self.faults.take(fault):
                    return Answer(status)
        elif request.method != "GET":
            return _xml(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        elif self.faults.take("cds_asset_link_expired"):
            link.dead = True
        if link.dead:
            return _xml(403, "AccessDenied", "Request has expired")
        if request.method == "GET" and self.faults.take("cds_html_asset"):
            return Answer(200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        return self._file(link, request)

    def _file(self, link: Link, request: Request) -> Answer:
        kind = {"Content-Type": "application/octet-stream", "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
        get, fresh = request.method == "GET", "range" not in request.headers
        if get and fresh and self.faults.take("cds_swapped_on_resume"):
            data = link.content.read_bytes()
            other = data[: len(data) // 4] + bytes(byte ^ 0x5A for byte in data[len(data) // 4 :])
            answer = ranged(request, other, f'"{hashlib.md5(other).hexdigest()}"', headers=kind)
            answer.cut_after = len(other) * 3 // 5
            return answer
        if get and fresh and self.faults.take("cds_no_ranges"):
            link.ranges = False
            return Answer(200, link.content, kind, cut_after=_size(link) // 2)
        if get and fresh and self.faults.take("cds_ranges_ignored"):
            link.ignores_ranges = True
            answer = ranged(request, link.content, f'"{link.etag}"', headers=kind)
            answer.cut_after = _size(link) // 2
            return answer
        answer = ranged(request, link.content, f'"{link.etag}"', ranges=link.ranges, headers=kind)
        if link.ignores_ranges:
            answer = Answer(200, link.content, {**kind, "ETag": f'"{link.etag}"', "Accept-Ranges": "bytes"})
        return self._disturbed(answer) if get and answer.status < 300 else answer

    def _disturbed(self, answer: Answer) -> Answer:
        """What a network does to a body."""
        length = answer.length
        if self.faults.take("cds_asset_cut_early"):
            answer.cut_after = min(length // 10, MIB - 1)
        elif self.faults.take("cds_asset_cut_late"):
            answer.cut_after = length - length // 20 - 1
        elif self.faults.take("cds_asset_cut_unannounced"):
            answer.cut_after, answer.announce = length // 2, False
        elif self.faults.take("cds_stall"):
            answer.stall_after = length // 3
        elif self.faults.take("cds_trickle"):
            answer.pace = 200.0
        return answer


def _size(link: Link) -> int:
    return link.content.stat().st_size


def _xml(status: int, code: str, message: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})
