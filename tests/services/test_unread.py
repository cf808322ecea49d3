"""What one worker found that an account can't read, all of them know."""

from app.protocol.call import Place
from app.services import unread as module
from app.services.board import Alone
from app.services.unread import Unread
from tests.services.boards import Wall

HERE, THERE = (Place(n, n, "openai", "http://a", "k") for n in (1, 2))


def test_it_is_known_of_this_account_alone():
    unread = Unread(Alone(), life_s=60)
    unread.learned(HERE, [b"a", b"b"])
    assert set(unread.by(HERE)) == {b"a", b"b"}
    assert not unread.by(THERE)


def test_workers_agree_and_are_told_only_what_is_new():
    wall = Wall()
    one, other = Unread(wall.board(), life_s=60), Unread(wall.board(), life_s=60)
    told = []
    taken = wall.boards[1].takes[module.TOPIC]
    wall.boards[1].takes[module.TOPIC] = lambda key, news: (told.append(news), taken(key, news))
    one.learned(HERE, [b"\x00a", b"b"])
    one.learned(HERE, [b"b", b"\x00a"])
    one.learned(HERE, [b"b", b"c"])
    assert set(other.by(HERE)) == {b"\x00a", b"b", b"c"}
    assert told == [b"0061 62", b"63"]
    assert not other.by(THERE)


def test_news_of_another_kind_is_passed_over():
    unread = Unread(Alone(), life_s=60)
    for key, news in (("x:1", b"61"), ("1:1", b"no hex"), ("1:1", b"")):
        unread._take(key, news)
    assert not unread.by(HERE)


def test_it_remembers_so_much_and_no_more(monkeypatch):
    monkeypatch.setattr(module, "MARKS_MAX", 5)
    unread = Unread(Alone(), life_s=60)
    for n in range(20):
        unread.learned(HERE, [b"%d" % n])
    assert list(unread.by(HERE)) == [b"15", b"16", b"17", b"18", b"19"]
