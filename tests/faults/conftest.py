from tests.figures import tell  # noqa: F401
from tests.house_fixtures import *  # noqa: F403
