"""Reads the repository for the house tests: its sources, its texts, and the trees of its Python files."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
BINARY = {".gz", ".png", ".jpg", ".ico", ".woff2"}


@cache
def kept_files():
    """Every file that is or would be kept in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    paths = sorted({ROOT / name for name in listed.decode().split("\0") if name})
    return [path for path in paths if path.is_file()]


def texts():
    """Every text of ours with its path: third parties' files and the locks are left out."""
    for path in kept_files():
        if path.suffix not in BINARY and "vendor" not in path.parts and not path.match("requirements*.txt"):
            yield path, path.read_text()


def python_files(*folders):
    return [path for path in kept_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def named(path):
    return str(path.relative_to(ROOT))


@cache
def tree(path):
    return ast.parse(path.read_text())


@cache
def nodes_of(path):
    """Every node of a file, by its kind: the trees are many and large, and asked for one kind after the other."""
    found = {}
    for node in ast.walk(tree(path)):
        found.setdefault(type(node), []).append(node)
    return found


def nodes(paths, *kinds):
    """Every node of these kinds, with the file that it stands in."""
    for path in paths:
        found = nodes_of(path)
        for kind in kinds:
            for node in found.get(kind, ()):
                yield path, node


def callee(call):
    """The last word of what is called."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))
