"""What was kept last stays, up to the bound."""

from app.protocol.recent import Recent


def test_of_too_many_the_first_goes():
    recent = Recent(3)
    for number in range(10):
        recent.keep(number, str(number))
        assert len(recent) <= 3
    assert recent == {7: "7", 8: "8", 9: "9"}


def test_what_is_kept_again_is_the_last_again_with_its_new_value():
    recent = Recent(2)
    for key, value in (("a", 1), ("b", 1), ("a", 2), ("c", 1)):
        recent.keep(key, value)
    assert list(recent.items()) == [("a", 2), ("c", 1)]


def test_what_was_taken_out_leaves_room():
    recent = Recent(2)
    for key in "ab":
        recent.keep(key, key)
    assert recent.pop("a") == "a"
    recent.keep("c", "c")
    assert list(recent) == ["b", "c"]
