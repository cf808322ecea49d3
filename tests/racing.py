"""Does several things at once, in threads that start together."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def together(app, *works):
    """What each of `works` returned or raised, each run in a thread and an application context of its own."""
    start = Barrier(len(works))

    def run(work):
        with app.app_context():
            start.wait(10)
            try:
                return work()
            except Exception as error:
                return error

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))
