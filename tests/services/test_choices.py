"""What administrators choose holds from then on."""

from datetime import timedelta

import pytest

from app.models.base import utcnow
from app.services import choices, tokens
from app.services.choices import Choices
from app.services.fields import FieldError
from app.services.tokens import TokenError


def test_a_longest_life_holds_for_new_tokens(admin, alice):
    endless = tokens.mint(alice, name="before", actor=alice).token
    choices.choose(Choices(token_days=10, contact="IT"), actor=admin)
    assert choices.present() == Choices(10, "IT")
    token = tokens.mint(alice, name="x", actor=alice).token
    assert timedelta(days=9) < token.expires_at - utcnow() <= timedelta(days=10)
    with pytest.raises(TokenError):
        tokens.mint(alice, name="x", expires_at=utcnow() + timedelta(days=11), actor=alice)
    tokens.update(endless, name="renamed", expires_at=None, models=None, networks=[], actor=alice)
    assert endless.expires_at is None, "what exists is left as it is"


def test_what_cannot_be_chosen_is_refused(admin):
    for wrong in (Choices(token_days=-1), Choices(contact="a\nb")):
        with pytest.raises(FieldError):
            choices.choose(wrong, actor=admin)
