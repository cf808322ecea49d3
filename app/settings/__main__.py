"""``python -m app.settings --check``."""

from __future__ import annotations

import sys

from app.settings import check

sys.exit(check())
