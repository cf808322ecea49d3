"""gunicorn's own gevent worker, and nothing of ours but the application: what any gevent server makes of Realms."""

import os

bind = os.environ["REALMS_BIND"]
worker_class = "gevent"
worker_connections = 4000
keepalive = 75
accesslog = None
