from tests.house_fixtures import *  # noqa: F403
from tests.sdk.fixtures import *  # noqa: F403
