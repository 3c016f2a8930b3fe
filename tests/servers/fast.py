"""The section ``fetch`` of a configuration for a service next door: seconds where real life takes hours."""

from __future__ import annotations

FAST = {
    "retry": {
        "first_wait_seconds": 0.02,
        "longest_wait_seconds": 0.1,
        # Much longer than it takes, since a slow machine stands still now and then: tests of what happens when patience
        # ends have less of it.
        "give_up_after_hours": 60 / 3600,
        "stall_seconds": 3,
        "slowest_bytes_per_second": 20_000,
    },
    "era5_land": {"requests_at_once": 2, "deadline_hours": 60 / 3600, "max_fields": 4000},
    "smap": {
        "products": ["SPL3SMP"],
        "versions": {"SPL3SMP": "009", "SPL3SMP_E": "006", "SPL4SMGP": "008"},
        "downloads_at_once": 3,
        "l4_variables": ["sm_surface", "sm_rootzone", "soil_temp_layer1", "surface_temp"],
        "without": [],
    },
    "reserve_gb": 0,
}
