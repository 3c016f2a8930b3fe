"""Logs of the rules."""

from __future__ import annotations

import os
import subprocess
import sys

from pscnet.provenance import SOURCE_ROOT


def run(body: str, tmp_path) -> subprocess.CompletedProcess:
    script = (
        "import logging, os, sys, warnings\n"
        "from pscnet.logs import log_to\n"
        "with log_to('deep/rule.log') as screen:\n"
        f"    {body}\n"
        "print('after')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT)}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_all_output_goes_to_the_log(tmp_path):
    body = (
        "print('printed'); logging.getLogger('room').info('logged'); os.system('echo child'); sys.stderr.write('err')"
    )
    done = run(body, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "after\n", "")
    log = (tmp_path / "deep" / "rule.log").read_text()
    assert all(text in log for text in ("printed", "room: logged", "child", "err"))


def test_an_error_shows_in_few_lines_and_names_the_log(tmp_path):
    done = run("raise ValueError('file x: expected y')", tmp_path)
    assert done.returncode == 1
    assert "ValueError: file x: expected y\nThe whole story: deep/rule.log" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "after" not in done.stdout
    assert "Traceback" in (tmp_path / "deep" / "rule.log").read_text()


def test_a_line_for_the_screen_reaches_it_and_not_the_log(tmp_path):
    done = run("print('4 of 31 files', file=screen); print('a detail')", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "after\n", "4 of 31 files\n")
    assert (tmp_path / "deep" / "rule.log").read_text() == "a detail\n"


def test_a_line_for_the_screen_does_not_wait_for_the_end(tmp_path):
    done = run("print('4 of 31 files', file=screen); os._exit(3)", tmp_path)
    assert (done.returncode, done.stderr) == (3, "4 of 31 files\n")
