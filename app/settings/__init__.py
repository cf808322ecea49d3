"""Every knob of Realms, typed and frozen, read once from the environment; a file for each topic.

``python -m app.settings --check`` prints every problem at once and exits 78 (EX_CONFIG of sysexits.h).
"""

from __future__ import annotations

from app.settings.loading import (
    CLIENT_NAMES,
    EXIT_CONFIG,
    SECRET_NAMES,
    ConfigError,
    check,
    load,
    named,
    traces_wanted,
    unknown_names,
)
from app.settings.values import PREFIX, Network, with_driver
from app.settings.whole import Settings

VERSION = "0.1.0"

__all__ = [
    "CLIENT_NAMES",
    "EXIT_CONFIG",
    "PREFIX",
    "SECRET_NAMES",
    "VERSION",
    "ConfigError",
    "Network",
    "Settings",
    "check",
    "load",
    "named",
    "traces_wanted",
    "unknown_names",
    "with_driver",
]
