"""A sealed secret opens for the address it was entered for, with a key that is known, and in no other case."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from app.services.keys import derive
from app.services.vault import Vault, VaultError, origin_of

OLD, NEW = "an-old-key-of-at-least-32-bytes-length", "a-new-key-of-at-least-32-bytes-in-length"
HERE = "https://api.example.com/v1"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_secret_comes_back_as_it_was(secret):
    vault = Vault([OLD])
    assert vault.open(vault.seal(secret, origin=HERE), origin=HERE) == secret


@pytest.mark.parametrize(
    "same", ["https://API.example.com:443/other", "https://api.example.com", "https://u@api.example.com"]
)
def test_the_same_origin_opens_however_it_is_written(same):
    vault = Vault([OLD])
    assert vault.open(vault.seal("k", origin=HERE), origin=same) == "k"


@pytest.mark.acceptance("E-5")
@pytest.mark.parametrize(
    "other",
    [
        "http://api.example.com",
        "https://api.example.com:8443",
        "https://api.example.com.evil.example",
        "https://evil.example/api.example.com",
        "https://api.example.com@evil.example",
        "https://example.com",
        "",
    ],
)
def test_another_origin_gets_nothing(other):
    vault = Vault([OLD])
    with pytest.raises(VaultError, match="another address"):
        vault.open(vault.seal("k", origin=HERE), origin=other)


def test_the_first_key_seals_and_every_key_opens():
    sealed = Vault([OLD]).seal("k", origin=HERE)
    assert Vault([NEW, OLD]).open(sealed, origin=HERE) == "k"
    with pytest.raises(VaultError, match="another vault key"):
        Vault([NEW]).open(sealed, origin=HERE)


def test_rotation_moves_a_secret_to_the_first_key():
    rotated = Vault([NEW, OLD]).rotate(Vault([OLD]).seal("k", origin=HERE))
    assert Vault([NEW]).open(rotated, origin=HERE) == "k"
    with pytest.raises(VaultError):
        Vault([OLD]).open(rotated, origin=HERE)
    with pytest.raises(VaultError):
        Vault([OLD]).rotate(rotated)


@given(st.binary(max_size=60))
def test_junk_is_no_secret(junk):
    with pytest.raises(VaultError):
        Vault([OLD]).open(junk, origin=HERE)


def test_a_changed_byte_is_noticed():
    sealed = bytearray(Vault([OLD]).seal("k", origin=HERE))
    sealed[30] ^= 1
    with pytest.raises(VaultError):
        Vault([OLD]).open(bytes(sealed), origin=HERE)


def test_what_is_sealed_shows_neither_secret_nor_origin_and_never_twice_the_same():
    vault = Vault([OLD])
    first, second = vault.seal("sk-secret", origin=HERE), vault.seal("sk-secret", origin=HERE)
    assert first != second
    assert b"secret" not in first
    assert b"example" not in first


@pytest.mark.acceptance("J-3")
def test_the_key_of_the_vault_is_for_the_vault_alone():
    assert Fernet(derive(OLD, "vault")).decrypt(Vault([OLD]).seal("k", origin=HERE))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", "https://a.example:443"),
        ("http://A.Example/x?y", "http://a.example:80"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/v1", "http://::1:8000"),
    ],
)
def test_an_origin_has_one_form(url, origin):
    assert origin_of(url) == origin
