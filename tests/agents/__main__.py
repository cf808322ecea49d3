"""`make agents`: installs Codex CLI and Claude Code once, and has them work through Realms."""

import shutil
import subprocess
import sys

from tests.agents.agents import install
from tests.live import ROOT

if shutil.which("npm") is None:
    sys.exit("There is no npm; the agents come from there.")
install()
sys.exit(subprocess.run([sys.executable, "-m", "pytest", "-q", "-s", "tests/agents"], cwd=ROOT, check=False).returncode)
