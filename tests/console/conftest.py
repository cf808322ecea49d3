"""Browsers for these tests."""

from tests.rooms import admin_there, alice_there, furnished, people, stranger

__all__ = ["admin_there", "alice_there", "furnished", "people", "stranger"]
