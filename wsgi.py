from gevent import monkey

monkey.patch_all()

from app import create_app  # noqa: E402 - nothing may be imported before the patch

app = create_app()
