from tests.house_fixtures import provider, sim  # noqa: F401
