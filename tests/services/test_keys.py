"""One configured secret, and a key of its own for each purpose."""

import base64
import re

import pytest

from app.services.keys import derive, mark

SECRET = "a-secret-of-at-least-32-bytes-in-length"


@pytest.mark.acceptance("J-3")
def test_a_key_is_the_same_each_time_and_another_for_each_purpose_and_secret():
    keys = {derive(SECRET, "vault"), derive(SECRET, "owner"), derive(SECRET + "x", "vault")}
    assert len(keys) == 3
    assert derive(SECRET, "vault") in keys
    assert all(len(base64.urlsafe_b64decode(key)) == 32 for key in keys)


def test_the_derivation_never_changes():
    """What was sealed and marked by an earlier release must be read by every later one."""
    assert derive(SECRET, "vault") == base64.urlsafe_b64encode(
        bytes.fromhex("6a7b7b5f72c09c13b796fcc566de577150f0b35819368c355f6ff3f8f8fd64f9")
    )
    assert mark(SECRET, "owner", "7") == "cd10ed972be1b4b7257b5b7bd87148fa"


def test_a_mark_is_opaque_and_differs_by_value_purpose_and_secret():
    marks = {mark(SECRET, "owner", str(n)) for n in range(100)} | {
        mark(SECRET, "log", "1"),
        mark(SECRET + "x", "owner", "1"),
    }
    assert len(marks) == 102
    assert all(re.fullmatch("[0-9a-f]{32}", told) for told in marks)
