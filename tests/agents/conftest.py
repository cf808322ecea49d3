from tests.house_fixtures import *  # noqa: F403
