"""No fault is forgotten: the list of faults and the tests that exercise them are held against each other.

A test whose name speaks of recovery or refusal exercises the faults of its parameter ``fault``, or the one with which
its name ends.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from types import ModuleType, SimpleNamespace

import pytest

from tests.servers.faults import CDS, EARTHDATA, FAULTS, OTHER_FILES, Fault

MODULES = {"test_cds_faults": CDS, "test_earthdata_faults": EARTHDATA}

#: What a test's name says of its outcome; other tests of faults come on top.
OUTCOMES = {"recover": "recovered", "error": "error", "refuses": "error"}


def exercised(module: ModuleType | SimpleNamespace) -> Counter[tuple[str, str]]:
    """(Outcome, fault) of every case of a module's tests that have an outcome, with how often."""
    found: Counter[tuple[str, str]] = Counter()
    for name, test in vars(module).items():
        outcome = next((OUTCOMES[word] for word in OUTCOMES if word in name), None)
        if name.startswith("test_") and outcome is not None:
            found.update((outcome, fault) for fault in cases(name, test))
    return found


def cases(name: str, test: object) -> list[str]:
    """The faults of a test."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    listed = [fault for mark in marks for fault in _values(*mark.args[:2])]
    return listed + [fault for fault in FAULTS if name.endswith(f"_{fault}")]


def _values(names: str | Iterable[str], rows: Iterable) -> list[str]:
    """The values of the parameter ``fault``."""
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    if "fault" not in names:
        return []
    rows = [row.values if hasattr(row, "values") and hasattr(row, "marks") else row for row in rows]
    return [row if isinstance(row, str) else row[names.index("fault")] for row in rows]


def differences(listed: Iterable[Fault], found: Counter[tuple[str, str]]) -> list[str]:
    """What is wrong between the faults listed and those exercised."""
    wanted = {(fault.outcome, fault.name) for fault in listed}
    wrong = [f"{name} has no test in which it is {outcome}" for outcome, name in sorted(wanted - set(found))]
    wrong += [
        f"{name} ({outcome}) is tested, but not listed so" for outcome, name in found if (outcome, name) not in wanted
    ]
    wrong += [f"{name} is tested {times} times" for (_, name), times in found.items() if times > 1]
    return wrong


@pytest.mark.parametrize("name", MODULES)
def test_every_fault_is_exercised_with_its_outcome_and_no_other(name):
    module = importlib.import_module(f"tests.servers.{name}")
    assert differences(MODULES[name], exercised(module)) == []


def test_every_fault_belongs_to_one_service_and_has_one_name():
    names = [fault.name for fault in (*CDS, *EARTHDATA)]
    assert len(names) == len(set(names))
    assert {FAULTS[name].outcome for name in OTHER_FILES} == {"recovered"}


def _module(**tests: list) -> SimpleNamespace:
    """A made-up module of tests, each with its values of ``fault``."""

    def one(values: list) -> object:
        @pytest.mark.parametrize(("fault", "times"), [(value, 1) for value in values])
        def test(fault: str, times: int) -> None: ...

        return test

    return SimpleNamespace(**{name: one(values) for name, values in tests.items()})


def test_check_notices_what_is_forgotten_unknown_misjudged_and_double():
    listed = [Fault("a", "", "recovered"), Fault("b", "", "error"), Fault("c", "", "recovered")]
    good = _module(test_is_recovered=["a", "c"], test_ends_in_error=["b"])
    assert differences(listed, exercised(good)) == []
    for bad, words in (
        (_module(test_is_recovered=["a"], test_ends_in_error=["b"]), "c has no test"),
        (
            _module(test_is_recovered=["a", "c", "d"], test_ends_in_error=["b"]),
            "d (recovered) is tested, but not listed",
        ),
        (_module(test_is_recovered=["a", "c", "b"]), "b has no test in which it is error"),
        (_module(test_is_recovered=["a", "c", "a"], test_ends_in_error=["b"]), "a is tested 2 times"),
        (_module(of_no_test=["a", "c"], test_ends_in_error=["b"]), "a has no test"),
        (_module(test_is_recovered=["a", "c"], test_ends_in_error=["b"], test_recovers_from_cds_500=[]), "cds_500"),
    ):
        assert any(words in line for line in differences(listed, exercised(bad))), words
