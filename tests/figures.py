"""What the faults measured, listed by number at the end of a run: a plugin, `pytest -p tests.figures`.

With `--write-figures` it also goes into docs/reliability.md.
"""

import pytest

from tests.house.promises import write_figures

NAME = "figures"


@pytest.fixture
def tell(request, record_property):
    """Tell a figure of this test's faults: shown at once, and in the list at the end."""

    def telling(text):
        numbers = [number for mark in request.node.iter_markers("fault") for number in mark.args]
        print(f"{', '.join(numbers)}: {text}")
        for number in numbers:
            record_property(NAME, (number, text))

    return telling


def pytest_addoption(parser):
    parser.addoption("--write-figures", action="store_true", help="put what was measured into docs/reliability.md")


def pytest_terminal_summary(terminalreporter, config):
    measured = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, figure in report.user_properties:
            if name == NAME:
                measured.setdefault(figure[0], []).append(figure[1])
    if measured:
        terminalreporter.section("what was measured")
        for number in sorted(measured, key=lambda number: int(number.partition("-")[2])):
            terminalreporter.write_line(f"| {number} | {'; '.join(measured[number])} |")
    if measured and config.getoption("--write-figures"):
        write_figures(measured)
