import pytest

from app.services.fields import FieldError, choice, line, number


class Refused(FieldError):
    pass


def test_a_line_is_cleaned_of_the_space_around_it():
    assert line("  Alice B. \n", field="name", longest=8, refuse=Refused) == "Alice B."
    assert line("   ", field="name", longest=8, refuse=Refused, empty=True) == ""


@pytest.mark.parametrize("text", ["", "  ", "x" * 9, "a\nb", "a\x00b", "a\x1bb", "a\u2028b", "a\u202eb", "a\ud800b"])
def test_what_is_no_printable_line_is_refused_at_its_field(text):
    with pytest.raises(Refused) as caught:
        line(text, field="name", longest=8, refuse=Refused)
    assert caught.value.field == "name"
    assert str(caught.value).endswith(".")


def test_numbers_and_choices_are_held_to_what_is_known():
    assert number(5, field="weight", lowest=1, highest=5, refuse=Refused) == 5
    assert choice("a", field="kind", known=("a", "b"), refuse=Refused) == "a"
    with pytest.raises(Refused, match="from 1 to 5"):
        number(6, field="weight", lowest=1, highest=5, refuse=Refused)
    with pytest.raises(Refused, match="a, b"):
        choice("c", field="kind", known=("a", "b"), refuse=Refused)
