import pytest

from app.services.declared import applying
from app.services.declared.reading import read
from tests.conftest import PASSWORD
from tests.services.declared.files import KEY, SPARE


@pytest.fixture
def run(ctx, tmp_path, monkeypatch):
    """Apply a file, or what is exported; return which steps that took."""
    monkeypatch.setenv("MAIN_KEY", KEY)
    monkeypatch.setenv("SPARE_KEY", SPARE)
    monkeypatch.setenv("ROOT_PASSWORD", PASSWORD)

    def run(text, *, work=applying.apply, **options):
        steps = work(read(text, folder=tmp_path), **options)
        return [(step.what, ".".join(step.path)) for step in steps]

    return run
