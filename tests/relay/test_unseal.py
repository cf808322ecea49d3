"""An account is asked once to read what it can't; afterwards that is left out, and nothing else."""

import json

from app.protocol.call import Call, Caller, Place, Target
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.relay.unseal import Unsealer
from app.services.board import Alone
from app.services.unread import Unread

HERE, THERE = (Target(Place(n, n, "openai", "http://a", "k")) for n in (1, 2))
USER = {"role": "user", "content": "x"}


def sealed(text):
    return {"type": "reasoning", "encrypted_content": text}


def a_call(*items):
    body = parse(json.dumps({"model": "m", "input": [*items, USER]}).encode())
    return Call(id="c", request_id="r", endpoint=BY_NAME["responses.create"], caller=Caller(1, 1, "m"), body=body)


def an_unsealer():
    return Unsealer(Unread(Alone(), life_s=60))


def input_of(call):
    return json.loads(call.body.body)["input"]


def test_what_was_refused_is_left_out_and_that_is_remembered_for_this_account():
    unsealer, call = an_unsealer(), a_call(sealed("a"))
    assert unsealer.prepared(call, HERE) is None
    assert input_of(unsealer.unsealed(call, HERE)) == [USER]
    assert input_of(unsealer.prepared(call, HERE)) == [USER]
    assert unsealer.prepared(call, THERE) is None


def test_what_the_new_account_sealed_itself_stays():
    unsealer = an_unsealer()
    unsealer.unsealed(a_call(sealed("theirs")), HERE)
    own = sealed("own")
    assert input_of(unsealer.prepared(a_call(sealed("theirs"), own), HERE)) == [own, USER]
    assert unsealer.prepared(a_call(own), HERE) is None


def test_where_nothing_is_sealed_there_is_nothing_to_try_again():
    assert an_unsealer().unsealed(a_call(), HERE) is None
