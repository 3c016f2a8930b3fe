"""With which settings files were last started."""

from __future__ import annotations

from pscnet.takeover.notes import drop_notes, note_start, started_with


def test_files_are_noted_with_what_they_were_last_started_with(folder):
    assert started_with("one", folder) == {}
    note_start("one", "a", ["build/one/x y.nc", "build/one/z.nc"], folder)
    note_start("one", "b", ["build/one/z.nc"], folder)
    assert started_with("one", folder) == {"build/one/x y.nc": "a", "build/one/z.nc": "b"}
    drop_notes("one", {"build/one/z.nc"}, folder)
    assert started_with("one", folder) == {"build/one/x y.nc": "a"}
