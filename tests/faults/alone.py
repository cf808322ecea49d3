"""A house in a network that has nothing but itself: `unshare --net python -m tests.faults.alone FOLDER`.

Prints how many packets had nowhere to go after calls of every kind, and again after one to an address outside.
"""

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests import live
from tests.faults.clients import TALKS, call


def lost() -> int:
    """Packets of this network without a route, and names that were asked for without one."""
    names, numbers = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:3] == "Ip:"]
    return int(numbers[names.index("OutNoRoutes")])


def main(folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    before = lost()
    with live.open_provider() as provider, live.database("sqlite", folder, "alone") as url:
        with live.open_house(folder, url, provider) as house:
            for talk in TALKS:
                for options in ("", "status=500", "fault=reset"):
                    for stream in (False, True):
                        call(house, talk, options, stream=stream)
            for path in ("/login", "/healthz", "/v1/models", "/docs"):
                house.ask("GET", path)
    print(lost() - before)
    with suppress(OSError):
        socket.create_connection(("192.0.2.1", 9), timeout=1)
    print(lost() - before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
