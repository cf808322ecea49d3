"""Bytes that mean harm, with what is to become of each: tables of verdict, name, and bytes as Python escapes them.

``<<TOKEN>>`` stands for a token that is good, ``<<x*9000>>`` for as many of a character.
"""

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
REPEATED = re.compile(r"<<(.)\*(\d+)>>", re.DOTALL)


class Case(NamedTuple):
    verdict: str
    name: str
    data: bytes


def cases(table, token=""):
    for line in (FOLDER / table).read_text().splitlines():
        verdict, name, written = line.split("\t")
        text = written.encode().decode("unicode_escape")
        text = REPEATED.sub(lambda found: found[1] * int(found[2]), text).replace("<<TOKEN>>", token)
        yield Case(verdict, name, text.encode("latin-1"))
