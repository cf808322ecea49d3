"""Which test shows what: the numbers on the tests, and the pages that list them with the tests' names.

`python -m tests.house.promises` writes the names into the pages.
"""

import ast
import re
from collections import defaultdict

from tests.house.reading import ROOT, named, python_files, tree

PAGES = {"acceptance": ROOT / "docs/security-checklist.md", "fault": ROOT / "docs/reliability.md"}
"""Each mark with the page that lists its numbers."""
ROW = re.compile(r"(?m)^\| ([A-Z]-\d+) \|(.*)\| ([^|]*) \|$")
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def shown(mark):
    """The tests that carry each number."""
    found = defaultdict(list)
    for path in python_files("tests"):
        for name, node in _tests(tree(path)):
            for number in _numbers(node, mark):
                found[number].append(f"{named(path)}::{name}")
    return {number: sorted({*tests}) for number, tests in found.items()}


def listed(mark):
    """What a page has for each number: the names of tests, or why there are none."""
    return [(number, told) for number, _, told in ROW.findall(PAGES[mark].read_text())]


def told(tests):
    """How the tests of a number stand in its row."""
    return "<br>".join(f"`{name}`" for name in tests)


def _tests(module):
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}::{each.name}", each) for each in node.body if isinstance(each, FUNCTION))
        elif isinstance(node, FUNCTION):
            yield node.name, node


def _numbers(function, mark):
    """Those of its decorators, the marks of single parameters among them."""
    for decorator in function.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{mark}":
                yield from (ast.literal_eval(number) for number in node.args)


def write():
    """Put the names of the tests into the rows of the pages."""
    for mark, page in PAGES.items():
        tests = shown(mark)

        def row(found, tests=tests):
            number, between, last = found.groups()
            return f"| {number} |{between}| {told(tests[number]) if number in tests else last} |"

        page.write_text(ROW.sub(row, page.read_text()))


def write_figures(measured):
    """Put what was measured into the third column of the faults; a number that wasn't tried keeps what it has."""

    def row(found):
        number, between, tests = found.groups()
        cells = between.split(" | ")
        if number in measured:
            cells[-1] = "; ".join(measured[number]) + " "
        return f"| {number} |{' | '.join(cells)}| {tests} |"

    page = PAGES["fault"]
    page.write_text(ROW.sub(row, page.read_text()))


if __name__ == "__main__":
    write()
