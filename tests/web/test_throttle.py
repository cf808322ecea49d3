"""Growing waits."""

import pytest

from app.web.throttle import LONGEST_S, REMEMBERED, Throttle, network


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def fail(throttle, email, address, times=1):
    for _ in range(times):
        throttle.failed(throttle.subjects(email, address))


def wait(throttle, email, address):
    return throttle.wait_s(throttle.subjects(email, address))


@pytest.mark.acceptance("K-5")
def test_waits_grow_after_five_failures_up_to_a_quarter_of_an_hour():
    clock = Clock()
    throttle = Throttle(clock)
    fail(throttle, "a@x", "10.0.0.1", 4)
    assert wait(throttle, "a@x", "10.0.0.1") == 0
    seen = []
    for _ in range(7):
        fail(throttle, "a@x", "10.0.0.1")
        seen.append(wait(throttle, "a@x", "10.0.0.1"))
        clock.now += seen[-1]
        assert wait(throttle, "a@x", "10.0.0.1") <= 0
    assert seen == [60, 120, 240, 480, LONGEST_S, LONGEST_S, LONGEST_S]


@pytest.mark.acceptance("K-5")
def test_both_the_account_and_the_network_wait():
    throttle = Throttle(Clock())
    fail(throttle, "a@x", "10.0.0.1", 5)
    assert wait(throttle, "A@x ", "192.0.2.1") == 60, "the account from elsewhere"
    assert wait(throttle, "b@x", "10.0.0.99") == 60, "another account from the same /24"
    assert wait(throttle, "b@x", "10.0.1.1") == 0


@pytest.mark.acceptance("K-5")
def test_success_resets():
    throttle = Throttle(Clock())
    fail(throttle, "a@x", "10.0.0.1", 4)
    throttle.succeeded("a@x", "10.0.0.1")
    fail(throttle, "a@x", "10.0.0.1", 4)
    assert wait(throttle, "a@x", "10.0.0.1") == 0


@pytest.mark.acceptance("K-5")
def test_strangers_cannot_keep_somebody_out():
    throttle = Throttle(Clock())
    throttle.succeeded("a@x", "10.0.0.1")
    fail(throttle, "a@x", "192.0.2.1", 50)
    assert wait(throttle, "a@x", "198.51.100.1") == LONGEST_S
    assert wait(throttle, "a@x", "10.0.0.1") == 0


def test_old_failures_are_forgotten():
    clock = Clock()
    throttle = Throttle(clock)
    fail(throttle, "a@x", "10.0.0.1", 5)
    clock.now += 25 * 3600
    fail(throttle, "a@x", "10.0.0.1")
    assert wait(throttle, "a@x", "10.0.0.1") == 0


def test_memory_is_bounded():
    throttle = Throttle(Clock())
    for number in range(REMEMBERED + 100):
        throttle.failed([f"account {number}"])
    assert len(throttle._failures) == REMEMBERED


def test_networks():
    assert network("10.1.2.3") == "10.1.2.0/24"
    assert network("::ffff:10.1.2.3") == "10.1.2.0/24"
    assert network("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert network("") == "unknown"
