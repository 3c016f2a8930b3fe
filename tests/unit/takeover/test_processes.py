"""Jobs on this machine whose Snakemake was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from pscnet.takeover.processes import end_processes


def test_jobs_without_snakemake_are_ended_and_others_live(tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    job = scripts / "tmpabc.train_model.py"
    job.write_text("import time\ntime.sleep(60)\n")
    command = [sys.executable, str(job)]
    # An orphan's parent is gone: here a shell that starts it and ends.
    orphan = int(subprocess.check_output(["sh", "-c", f"'{command[0]}' '{job}' >/dev/null 2>&1 & echo $!"], text=True))
    # A job of a living Snakemake, whose command names it.
    guarded = subprocess.Popen(["sh", "-c", f"'{command[0]}' '{job}'; : snakemake"])
    time.sleep(0.5)
    try:
        assert end_processes(tmp_path) == ["train_model"]
        assert not Path(f"/proc/{orphan}").exists() or "Z" in Path(f"/proc/{orphan}/stat").read_text().split()[2]
        assert guarded.poll() is None
        assert end_processes(tmp_path) == []
    finally:
        subprocess.run(["sh", "-c", f"kill $(ps -o pid= --ppid {guarded.pid})"], check=False)
        guarded.kill()
        guarded.wait()
