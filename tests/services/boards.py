"""Boards that hand news over at once, as if all workers were one."""

from app.services.board import Alone


class Wall:
    """What the boards of several workers share."""

    def __init__(self):
        self.claims = Alone()
        self.boards = []

    def board(self):
        self.boards.append(OnWall(self))
        return self.boards[-1]


class OnWall:
    """One worker's board."""

    def __init__(self, wall):
        self._wall = wall
        self.takes = {}
        self.claim, self.release = wall.claims.claim, wall.claims.release

    def follow(self, topic, take):
        self.takes[topic] = take

    def tell(self, topic, key, news, *, life_s):
        for board in self._wall.boards:
            if board is not self:
                board.takes[topic](key, news)
