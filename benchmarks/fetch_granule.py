"""Peak memory and time of receiving one SPL4SMGP granule of its true size and cropping it to the Plateau.

The granule is laid out as the provider's, with noise that hardly compresses in the fields that are kept and in a few
others. It comes from a server in this process; the work is done in a child process, whose peak stands beside that of
one that only imports the same modules.

    python benchmarks/fetch_granule.py
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME, WHEN = "SMAP_L4_SM_gph_20160501T013000_Vv8010_001.h5", "2016-05-01T01:30"
BOX = {"lat": (25.0, 40.0), "lon": (73.0, 105.0)}

#: Fields that are kept, others of noise that bring the file to its size, and others that hold one value everywhere.
KEPT = ("sm_surface", "sm_rootzone", "soil_temp_layer1", "surface_temp")
NOISY = ("sm_profile", "snow_mass", "leaf_area_index")
PLAIN = tuple(f"field_{number:02d}" for number in range(35))

#: Seconds from noon of 2000-01-01 to the middle of the granule's three hours.
SECONDS = 515_338_200.0

ETAG = '"0123456789abcdef"'

#: A fast line to a provider [byte/s], beside the loopback's own pace, which no line has.
LINE = 50e6


def make(path: Path) -> None:
    """Write the granule."""
    import h5py
    import numpy as np

    from pscnet.grids import EASE2_GRIDS, EASE2_X0, EASE2_Y0

    size, *shape = EASE2_GRIDS["M09"]
    rng = np.random.default_rng(0)
    with h5py.File(path, "w", libver="earliest") as file:
        for name, first, step, count in (("y", EASE2_Y0, -size, shape[0]), ("x", EASE2_X0, size, shape[1])):
            file[name] = first + (np.arange(count) + 0.5) * step
            file[name].make_scale(name)
        file["time"] = np.array([SECONDS])
        file["time"].attrs["units"] = "seconds since 2000-01-01 12:00:00"
        for name in (*KEPT, *NOISY, *PLAIN):
            low, high, unit = (260, 320, "K") if "temp" in name else (0, 0.9, "m3 m-3")
            field = file.create_dataset(
                f"Geophysical_Data/{name}", shape, "f4", chunks=(203, 482), compression="gzip", compression_opts=1,
                shuffle=True, fillvalue=-9999,
            )  # fmt: skip
            field.attrs["units"] = unit
            for axis, scale in enumerate("yx"):
                field.dims[axis].attach_scale(file[scale])
            noise = rng.random(shape, "f4") if name not in PLAIN else np.zeros(shape, "f4")
            field[:] = low + (high - low) * noise


class Handler(BaseHTTPRequestHandler):
    """Serves one file, whatever is asked for."""

    protocol_version = "HTTP/1.1"
    path_of_file: Path

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.path_of_file.stat().st_size))
        self.send_header("ETag", ETAG)
        self.end_headers()
        begun, sent = time.monotonic(), 0
        with open(self.path_of_file, "rb") as file:
            while block := file.read(2**20):
                self.wfile.write(block)
                sent += len(block)
                if self.path.startswith("/line/"):
                    time.sleep(max(0.0, begun + sent / LINE - time.monotonic()))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def peak_bytes() -> int:
    """Peak resident memory of this process: not of the one that started it, which getrusage may count."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(work: str, url: str, folder: Path) -> None:
    """Do one of the works in this process and print its seconds and peak memory as JSON."""
    import requests

    from pscnet.sources.fetch.crop import crop
    from pscnet.sources.fetch.settings import Patience
    from pscnet.sources.fetch.smap_check import check
    from pscnet.sources.fetch.transfer import Offer, receive

    session = requests.Session()
    session.trust_env = False
    start = time.perf_counter()
    part, made = folder / f"{NAME}.{work}.part", folder / f"{NAME}.{work}.crop.part"
    if work == "plain transfer":
        with session.get(url, stream=True, timeout=60) as response, open(part, "wb") as file:
            shutil.copyfileobj(response.raw, file, 2**18)
    elif work != "import alone":
        received = receive(lambda: Offer(url, session), part, NAME, Patience())
        if work == "receive and crop":
            crop(part, BOX["lat"], BOX["lon"], made, KEPT, name=NAME, sha256=received.sha256)
            check(made, "SPL4SMGP", WHEN, name=NAME, variables=KEPT)
    seconds = time.perf_counter() - start
    kept = made.stat().st_size if made.exists() else 0
    part.unlink(missing_ok=True)
    print(json.dumps({"seconds": seconds, "megabytes": peak_bytes() / 1e6, "kept": kept / 1e6}))


def child(*arguments: str) -> str:
    """Run this file in a process of its own; its last line."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip().rpartition("\n")[2]


def main() -> None:
    """Make the granule, serve it, and print what each work takes."""
    works = ("import alone", "plain transfer", "receive", "receive and crop")
    with tempfile.TemporaryDirectory(prefix="pscnet_bench_") as scratch:
        folder = Path(scratch)
        Handler.path_of_file = folder / NAME
        child("make", str(folder / NAME))
        size = (folder / NAME).stat().st_size / 1e6
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        found = {work: json.loads(child(work, f"{url}/{NAME}", scratch)) for work in works}
        line = {work: json.loads(child(work, f"{url}/line/{NAME}", scratch))["seconds"] for work in works[1:]}
        server.shutdown()
    bare, plain = found["import alone"]["megabytes"], found["plain transfer"]["seconds"]
    for work, one in found.items():
        text = f"one SPL4SMGP granule of {size:.0f} MB, {work:16s}: peak {one['megabytes']:4.0f} MB"
        text += f" ({one['megabytes'] - bare:+4.0f} MB)"
        print(text + ("" if work == works[0] else f", {one['seconds']:5.2f} s = {one['seconds'] / plain:.2f} x plain"))
    for work in works[2:]:
        ratio = line[work] / line[works[1]]
        print(f"the same over a line of {LINE / 1e6:.0f} MB/s, {work:16s}: {line[work]:5.2f} s = {ratio:.2f} x plain")
    print(f"one SPL4SMGP granule: {found['receive and crop']['kept']:.2f} MB of it are kept")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    elif len(sys.argv) == 3:
        make(Path(sys.argv[2]))
    else:
        main()
