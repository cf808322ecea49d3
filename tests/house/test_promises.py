"""Every promise has its test, and every fault is brought about, or the page says why not."""

import pytest

from tests.house.promises import PAGES, listed, shown, told

ITEMS = {
    "acceptance": dict(zip("ABCDEFGHIJKLM", (12, 18, 17, 10, 13, 12, 15, 6, 8, 7, 10, 9, 6), strict=True)),
    "fault": {"X": 24},
}
"""How many there are of each group: none goes missing with its row."""


@pytest.mark.parametrize("mark", PAGES)
def test_every_number_has_its_row(mark):
    expected = [f"{group}-{n}" for group, count in ITEMS[mark].items() for n in range(1, count + 1)]
    assert [number for number, _ in listed(mark)] == expected


@pytest.mark.parametrize("mark", PAGES)
def test_every_row_names_the_tests_that_carry_its_number_or_says_why_there_are_none(mark):
    """`python -m tests.house.promises` writes the names."""
    tests = shown(mark)
    assert set(tests) <= {number for number, _ in listed(mark)}
    for number, cell in listed(mark):
        if number in tests:
            assert cell == told(tests[number]), number
        else:
            assert cell.startswith("Not tested: "), number
            assert len(cell.split()) > 6, number
