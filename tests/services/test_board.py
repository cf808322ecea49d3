"""A worker that is alone has nobody to tell, and gets every claim that it hasn't given out itself."""

from app.services.board import Alone


def test_one_alone_has_a_claim_until_it_is_released():
    board = Alone()
    assert board.claim("a", life_s=60)
    assert not board.claim("a", life_s=60)
    assert board.claim("b", life_s=60)
    board.release("a")
    assert board.claim("a", life_s=60)


def test_a_claim_whose_life_is_over_is_free():
    board = Alone()
    assert board.claim("a", life_s=0)
    assert board.claim("a", life_s=60)


def test_there_is_nobody_to_tell():
    board = Alone()
    heard = []
    board.follow("x", lambda *news: heard.append(news))
    board.tell("x", "a", b"1", life_s=60)
    assert heard == []
