"""The made-up run, made once for this room."""

from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
