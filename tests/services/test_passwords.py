import gzip
import subprocess
import sys
import textwrap
import unicodedata

import pytest
from argon2 import PasswordHasher, profiles

from app.services import passwords


def test_a_password_matches_its_own_hash_and_no_other():
    hashed = passwords.hash_password("correct horse")
    assert passwords.verify(hashed, "correct horse")
    assert not passwords.verify(hashed, "Correct horse")
    assert not passwords.verify("", "correct horse")
    assert not passwords.verify("not a hash", "correct horse")


def test_the_same_password_is_hashed_differently_each_time():
    assert passwords.hash_password("correct horse") != passwords.hash_password("correct horse")


@pytest.mark.acceptance("C-13")
def test_a_long_password_counts_to_its_last_character():
    hashed = passwords.hash_password("x" * 1023 + "a")
    assert passwords.verify(hashed, "x" * 1023 + "a")
    assert not passwords.verify(hashed, "x" * 1023 + "b")


def test_letters_that_look_the_same_count_as_the_same():
    hashed = passwords.hash_password(unicodedata.normalize("NFD", "pässwörter 密码"))
    assert passwords.verify(hashed, unicodedata.normalize("NFC", "pässwörter 密码"))


@pytest.mark.acceptance("C-13")
def test_any_unicode_can_be_a_password():
    for password in ("密码密码密码密码", "🐎" * 8, "\ud800 lone surrogate", "tab\tand\x00null"):
        assert passwords.complaint(password) is None
        assert passwords.verify(passwords.hash_password(password), password)


@pytest.mark.acceptance("C-13")
@pytest.mark.parametrize(
    ("password", "word"),
    [("", "8"), ("1234567", "8"), ("x" * 1025, "1024"), ("PASSWORD1", "first"), ("iloveyou1", "first")],
)
def test_a_complaint_says_what_is_wrong(password, word):
    assert word in passwords.complaint(password)


@pytest.mark.acceptance("C-13")
def test_eight_and_1024_characters_are_taken():
    assert passwords.complaint("qv8!kd0z") is None
    assert passwords.complaint("qv8!kd0z" * 128) is None


@pytest.mark.acceptance("C-13")
def test_the_bundled_list_has_ten_thousand_passwords_that_would_pass_otherwise():
    common = gzip.decompress(passwords._COMMON.read_bytes()).decode().splitlines()
    assert len(set(common)) == len(common) > 10_000
    assert all(len(password) >= passwords.SHORTEST and password == password.lower() for password in common)


def test_hashing_costs_what_rfc_9106_recommends():
    told = subprocess.run(
        [sys.executable, "-c", "from app.services import passwords; print(passwords.hash_password('x'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    wanted = PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)
    assert not wanted.check_needs_rehash(told)


def test_greenlets_go_on_while_a_password_is_hashed():
    """A ticker counts in the hub while eight passwords are hashed at once in a patched process."""
    program = """
        from gevent import monkey
        monkey.patch_all()
        import time
        import gevent
        from app.services import passwords

        gaps, last = [], time.monotonic()
        def tick():
            global last
            while True:
                gevent.sleep(0.001)
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
        ticker = gevent.spawn(tick)
        began = time.monotonic()
        hashes = [gevent.spawn(passwords.hash_password, "correct horse") for _ in range(8)]
        gevent.joinall(hashes, raise_error=True)
        took = time.monotonic() - began
        assert passwords.verify(hashes[0].value, "correct horse")
        assert len(gaps) > 5, (len(gaps), took)
        assert max(gaps) < took / 2, (max(gaps), took)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
