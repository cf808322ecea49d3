"""What a call costs, to the nano-dollar: real-shaped usage of many providers, computed by hand beside each row."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.endpoints import Shape
from app.protocol.price import FREE, MILLION, Price, Rates, Tariff, Tier, at, bill, lines
from app.protocol.usage import Usage, UsageState, from_events, from_object


def dollars(**rates):
    """Rates in dollars for a million tokens, and for a thousand searches."""
    searches = {"web_search": int(rates.pop("searches") * 1_000_000)} if "searches" in rates else {}
    return Rates(**{name: round(value * 1_000_000_000) for name, value in rates.items()}, **searches)


# A nano-dollar for a token is a thousandth of a dollar for a million: GPT reads at 1,250 and writes at 10,000 of them.
GPT = Price(
    1, 0.0,
    Tariff(dollars(input=1.25, cache_read=0.125, output=10)),
    {"flex": Tariff(dollars(input=0.625, cache_read=0.0625, output=5)), "priority": Tariff(dollars(input=2.5, output=20))},
)  # fmt: skip
LONG = dollars(input=6, cache_read=0.6, cache_write_5m=7.5, cache_write_1h=12, output=22.5, searches=10)
CLAUDE = Price(
    2, 0.0,
    Tariff(
        dollars(input=3, cache_read=0.3, cache_write_5m=3.75, cache_write_1h=6, output=15, searches=10),
        (Tier(200_000, LONG),),
    ),
)  # fmt: skip
AUDIO = Price(3, 0.0, Tariff(dollars(input=2.5, output=10, audio_input=40, audio_output=80)))
LOCAL = Price(4, 0.0, Tariff(dollars(input=0.0375, output=0.15)))
PLAIN = Price(5, 0.0, Tariff(dollars(input=2, output=8)))


def responses(total, output, cached=0, thought=0, **more):
    return {
        "input_tokens": total,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": total + output,
    } | more


def chat(prompt, completion, read=None, wrote=None, **more):
    raw = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    raw |= {} if read is None else {"prompt_tokens_details": read}
    return raw | ({} if wrote is None else {"completion_tokens_details": wrote}) | more


def messages(fresh, output, read=0, written=0, **more):
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": output,
    } | more


def kept(five, hour):
    return {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}


# usage object; price; fresh input, cache read, written 5m, written 1h, output; nano-dollars.
OBJECTS = {
    # OpenAI Responses
    "responses": (responses(25, 50), GPT, (25, 0, None, None, 50), 25 * 1250 + 50 * 10_000),
    "responses, cached": (responses(2006, 300, 1920), GPT, (86, 1920, None, None, 300), 107_500 + 240_000 + 3_000_000),
    "responses, all cached": (responses(1024, 1, 1024), GPT, (0, 1024, None, None, 1), 138_000),
    "responses, reasoning": (responses(36, 1186, 0, 1024), GPT, (36, 0, None, None, 1186), 11_905_000),
    "responses, nothing said": (responses(11, 0), GPT, (11, 0, None, None, 0), 13_750),
    "responses, no details": ({"input_tokens": 8, "output_tokens": 2}, GPT, (8, None, None, None, 2), 30_000),
    "responses, details null": (
        responses(8, 2) | {"input_tokens_details": None, "output_tokens_details": None},
        GPT, (8, None, None, None, 2), 30_000,
    ),
    "responses, cache written": (
        responses(5000, 10, input_tokens_details={"cached_tokens": 1000, "cache_write_tokens": 3000}),
        GPT, (1000, 1000, 3000, None, 10), 1_250_000 + 125_000 + 3_750_000 + 100_000,
    ),
    "responses, nothing written": (
        responses(50, 1, input_tokens_details={"cached_tokens": 0, "cache_write_tokens": 0}),
        GPT, (50, 0, None, None, 1), 72_500,
    ),
    "responses, compact": (responses(139, 438, 0, 64), GPT, (139, 0, None, None, 438), 173_750 + 4_380_000),
    "responses, flex": (responses(100, 100, service_tier="flex"), GPT, (100, 0, None, None, 100), 562_500),
    "responses, default tier": (responses(100, 1, service_tier="default"), GPT, (100, 0, None, None, 1), 135_000),
    "responses, priority": (responses(100, 1, 40, service_tier="priority"), GPT, (60, 40, None, None, 1), 270_000),
    "responses, unpriced tier": (responses(100, 1, service_tier="scale"), GPT, (100, 0, None, None, 1), None),
    # OpenAI Chat Completions
    "chat": (chat(19, 10), GPT, (19, None, None, None, 10), 123_750),
    "chat, whole": (
        chat(1117, 46, {"cached_tokens": 1024, "audio_tokens": 0},
             {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}),
        GPT, (93, 1024, None, None, 46), 116_250 + 128_000 + 460_000,
    ),
    "chat, reasoning": (
        chat(9, 2000, {"cached_tokens": 0}, {"reasoning_tokens": 1984}), GPT, (9, 0, None, None, 2000), 20_011_250,
    ),
    "chat, predictions": (
        chat(100, 60, {"cached_tokens": 0}, {"accepted_prediction_tokens": 20, "rejected_prediction_tokens": 15}),
        GPT, (100, 0, None, None, 60), 725_000,
    ),
    "chat, audio heard": (
        chat(150, 20, {"cached_tokens": 0, "audio_tokens": 120, "text_tokens": 30}),
        AUDIO, (150, 0, None, None, 20), 30 * 2500 + 120 * 40_000 + 20 * 10_000,
    ),
    "chat, audio said": (
        chat(10, 90, {"audio_tokens": 0}, {"audio_tokens": 70, "text_tokens": 20}),
        AUDIO, (10, None, None, None, 90), 10 * 2500 + 20 * 10_000 + 70 * 80_000,
    ),
    "chat, audio without a price": (chat(10, 9, None, {"audio_tokens": 7}), GPT, (10, None, None, None, 9), None),
    "chat, audio partly cached": (
        chat(100, 1, {"cached_tokens": 60, "audio_tokens": 70}), AUDIO, (40, 60, None, None, 1), 1_760_000,
    ),
    "chat, no answer": (chat(10, 0), GPT, (10, None, None, None, 0), 12_500),
    "chat, no price for reads": (chat(100, 1, {"cached_tokens": 40}), PLAIN, (60, 40, None, None, 1), 208_000),
    # Anthropic Messages
    "messages": (messages(10, 5), CLAUDE, (10, 0, 0, None, 5), 30_000 + 75_000),
    "messages, bare": ({"input_tokens": 2095, "output_tokens": 503}, CLAUDE, (2095, None, None, None, 503), 13_830_000),
    "messages, read": (messages(21, 393, 188_086), CLAUDE, (21, 188_086, 0, None, 393), 63_000 + 56_425_800 + 5_895_000),
    "messages, written": (messages(21, 393, 0, 2051), CLAUDE, (21, 0, 2051, None, 393), 63_000 + 7_691_250 + 5_895_000),
    "messages, both": (messages(3, 100, 1000, 500), CLAUDE, (3, 1000, 500, None, 100), 9000 + 300_000 + 1_875_000 + 1_500_000),
    "messages, kept 5 minutes": (
        messages(3, 1, 0, 500, cache_creation=kept(500, 0)), CLAUDE, (3, 0, 500, 0, 1), 9000 + 1_875_000 + 15_000,
    ),
    "messages, kept an hour": (
        messages(3, 1, 0, 500, cache_creation=kept(0, 500)), CLAUDE, (3, 0, 0, 500, 1), 9000 + 3_000_000 + 15_000,
    ),
    "messages, kept both ways": (
        messages(2048, 503, 1800, 248, cache_creation=kept(148, 100)), CLAUDE, (2048, 1800, 148, 100, 503),
        6_144_000 + 540_000 + 555_000 + 600_000 + 7_545_000,
    ),
    "messages, parts alone": (
        {"input_tokens": 1, "output_tokens": 1, "cache_creation": kept(20, 30)}, CLAUDE, (1, None, 20, 30, 1),
        3000 + 75_000 + 180_000 + 15_000,
    ),
    "messages, an hour without a price": (
        messages(1, 1, 0, 5, cache_creation=kept(0, 5)), PLAIN, (1, 0, 0, 5, 1), None,
    ),
    "messages, searches": (
        messages(105, 6039, 7123, 7345, server_tool_use={"web_search_requests": 2}), CLAUDE,
        (105, 7123, 7345, None, 6039), 315_000 + 2_136_900 + 27_543_750 + 90_585_000 + 20_000_000,
    ),
    "messages, no searches": (
        messages(1, 1, server_tool_use={"web_search_requests": 0, "web_fetch_requests": 0}), PLAIN, (1, 0, 0, None, 1), 10_000,
    ),
    "messages, searches without a price": (
        messages(1, 1, server_tool_use={"web_search_requests": 1}), PLAIN, (1, 0, 0, None, 1), None,
    ),
    "messages, standard tier": (messages(1, 1, service_tier="standard"), CLAUDE, (1, 0, 0, None, 1), 18_000),
    "messages, batch tier": (messages(1, 1, service_tier="batch"), CLAUDE, (1, 0, 0, None, 1), None),
    "messages, at the threshold": (messages(1000, 1, 199_000), CLAUDE, (1000, 199_000, 0, None, 1), 62_715_000),
    "messages, over the threshold": (
        messages(1001, 1, 199_000), CLAUDE, (1001, 199_000, 0, None, 1), 6_006_000 + 119_400_000 + 22_500,
    ),
    "messages, written over it": (
        messages(0, 1, 0, 200_001, cache_creation=kept(200_001, 0)), CLAUDE, (0, 0, 200_001, 0, 1), 1_500_030_000,
    ),
    "messages, cache fields null": (
        messages(7, 2) | {"cache_creation_input_tokens": None, "cache_read_input_tokens": None},
        CLAUDE, (7, None, None, None, 2), 51_000,
    ),
    # Other servers
    "deepseek": (
        chat(1200, 80, {"cached_tokens": 1152}, prompt_cache_hit_tokens=1152, prompt_cache_miss_tokens=48),
        GPT, (48, 1152, None, None, 80), 60_000 + 144_000 + 800_000,
    ),
    "deepseek, hits alone": (
        chat(1200, 80, prompt_cache_hit_tokens=1152, prompt_cache_miss_tokens=48),
        GPT, (48, 1152, None, None, 80), 1_004_000,
    ),
    "moonshot": (chat(500, 10, cached_tokens=256), GPT, (244, 256, None, None, 10), 305_000 + 32_000 + 100_000),
    "xai, reasoning beside": (
        chat(32, 9, {"cached_tokens": 6, "text_tokens": 32}, {"reasoning_tokens": 110}, total_tokens=151),
        GPT, (26, 6, None, None, 119), 32_500 + 750 + 1_190_000,
    ),
    "gemini, thoughts in the total": (
        {"prompt_tokens": 8, "completion_tokens": 12, "total_tokens": 520}, GPT, (8, None, None, None, 512), 5_130_000,
    ),
    "llama.cpp": (chat(31, 7), LOCAL, (31, None, None, None, 7), 2213),  # 2,212.5
    "vllm": (
        {"prompt_tokens": 9, "total_tokens": 26, "completion_tokens": 17, "prompt_tokens_details": None},
        LOCAL, (9, None, None, None, 17), 2888,  # 2,887.5
    ),
    "ollama": (chat(26, 298), LOCAL, (26, None, None, None, 298), 45_675),
    "embedding-like": ({"prompt_tokens": 5, "total_tokens": 5}, LOCAL, (5, None, None, None, None), 188),  # 187.5
    "numbers with a point": (chat(31.0, 7.0, total_tokens=38.0), PLAIN, (31, None, None, None, 7), 118_000),
    "output alone": ({"completion_tokens": 7}, PLAIN, (None, None, None, None, 7), 56_000),
    "a total that is too small": (chat(31, 7, total_tokens=0), PLAIN, (31, None, None, None, 7), 118_000),
    "openrouter": (
        chat(194, 2, {"cached_tokens": 0, "audio_tokens": 0}, {"reasoning_tokens": 0}, cost=0.95, is_byok=False),
        PLAIN, (194, 0, None, None, 2), 404_000,
    ),
    # What can't be true
    "negative": (chat(-5, 7, total_tokens=2), PLAIN, (None, None, None, None, 7), 56_000),
    "a string": (chat(0, 0) | {"prompt_tokens": "12", "completion_tokens": 7}, PLAIN, (None, None, None, None, 7), 56_000),
    "huge": (chat(3, 0) | {"completion_tokens": 10**18}, PLAIN, (3, None, None, None, None), 6000),
    "a fraction": (chat(3, 0) | {"completion_tokens": 1.5}, PLAIN, (3, None, None, None, None), 6000),
    "true": (chat(3, 0) | {"completion_tokens": True}, PLAIN, (3, None, None, None, None), 6000),
    "more cached than there was": (responses(10, 5, 11), GPT, (0, 10, None, None, 5), 51_250),
    "more for an hour than written": (
        messages(1, 1, 0, 5, cache_creation=kept(0, 9)), CLAUDE, (1, 0, 0, 5, 1), 3000 + 30_000 + 15_000,
    ),
    "more thought than said": (responses(1, 5, 0, 9, total_tokens=6), GPT, (1, 0, None, None, 5), 51_250),
    "empty": ({}, PLAIN, (None,) * 5, None),
    "nothing but nonsense": ({"prompt_tokens": "x"}, PLAIN, (None,) * 5, None),
}  # fmt: skip
UNSOUND = {"negative", "a string", "huge", "a fraction", "true", "more cached than there was",
           "more for an hour than written", "more thought than said"}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_a_usage_object_has_one_normal_form_and_one_cost(name):
    raw, price, counts, cost = OBJECTS[name]
    usage = from_object(raw)
    assert (usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output) == counts
    assert bill(price, usage).cost == cost
    assert usage.raw == (raw or None)
    if usage.state is not UsageState.UNKNOWN:
        assert usage.state is (UsageState.PARTIAL if name in UNSOUND else UsageState.REPORTED)


def event(name, **data):
    return f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n".encode()


def chunk(**data):
    return f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk'} | data)}\n\n".encode()


USAGE = {"input_tokens": 40, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0}
STREAMS = {
    Shape.RESPONSES: [
        event("response.created", response={"id": "r", "usage": None}),
        event("response.output_text.delta", delta="hello"),
        event("response.completed", response={"id": "r", "service_tier": "flex", "usage": responses(100, 100)}),
    ],
    Shape.CHAT: [
        chunk(choices=[{"delta": {"role": "assistant"}}], usage=None),
        chunk(choices=[{"delta": {"content": "hello"}}], usage=None),
        chunk(choices=[], usage=chat(100, 100), service_tier="flex"),
        b"data: [DONE]\n\n",
    ],
    Shape.MESSAGES: [
        event("message_start", message={"id": "m", "usage": USAGE | {"output_tokens": 1}}),
        event("content_block_delta", delta={"type": "text_delta", "text": "hello"}),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15}),
        event("message_stop"),
    ],
}
# After so many events: state, input, output, nano-dollars.
NOTHING = (UsageState.UNKNOWN, None, None, None)
CUTS = {
    Shape.RESPONSES: [NOTHING, NOTHING, NOTHING, (UsageState.REPORTED, 100, 100, 562_500)],
    Shape.CHAT: [NOTHING, NOTHING, NOTHING, (UsageState.PARTIAL, 100, 100, 562_500), (UsageState.REPORTED, 100, 100, 562_500)],
    Shape.MESSAGES: [
        NOTHING,
        (UsageState.PARTIAL, 40, 1, 120_000 + 300_000 + 15_000),
        (UsageState.PARTIAL, 40, 1, 435_000),
        (UsageState.PARTIAL, 40, 15, 120_000 + 300_000 + 225_000),
        (UsageState.REPORTED, 40, 15, 645_000),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("shape", "count"), [(shape, n) for shape, cuts in CUTS.items() for n in range(len(cuts))])
def test_a_stream_that_is_cut_tells_what_it_has_told(shape, count):
    events = STREAMS[shape]
    told = b"".join(events[:count])
    usage = from_events(told[:4096], told, shape=shape, whole=count == len(events))
    cost = bill(CLAUDE if shape is Shape.MESSAGES else GPT, usage).cost
    assert (usage.state, usage.input, usage.output, cost) == CUTS[shape][count]


def test_what_was_not_told_is_guessed_and_said_to_be_a_guess():
    guess = Usage().at_least(input=25, output=8)
    assert (guess.state, guess.input, guess.output) == (UsageState.ESTIMATED, 25, 8)
    begun = from_object(messages(40, 1, 1000), whole=False)
    more = begun.at_least(input=9999, output=30)
    assert (more.state, more.input, more.cache_read, more.output) == (UsageState.ESTIMATED, 40, 1000, 30)
    assert begun.at_least(input=9999, output=1) == begun
    whole = from_object(messages(40, 1))
    assert whole.at_least(input=9999, output=9999) == whole


def test_the_snapshot_says_what_was_paid_and_nothing_that_was_not_known():
    assert bill(LOCAL, from_object(chat(2, 2))).price == {"id": 4, "input": 37_500_000, "output": 150_000_000}
    assert bill(CLAUDE, from_object(messages(300_000, 1))).price["input"] == 6_000_000_000
    assert bill(None, from_object(chat(2, 2))) == bill(GPT, Usage())
    assert FREE.cost == 0


def test_the_version_that_was_in_force_is_the_one_to_pay():
    prices = (Price(2, 200.0, PLAIN.standard), Price(1, 100.0, GPT.standard))
    assert [at(prices, moment) for moment in (250, 200, 199.9, 99)] == [prices[0], prices[0], prices[1], None]


COUNTS = st.integers(0, 10**9)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.lists(st.integers(0, 10**12), min_size=5, max_size=5))
def test_a_cost_is_the_sum_of_its_lines_rounded_once(fresh, read, five, hour, output, rates):
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
    usage = Usage(state=UsageState.REPORTED, **dict(zip(names, (fresh, read, five, hour, output), strict=True)))
    paid = Rates(**dict(zip(names, rates, strict=True)))
    exact = sum(count * rate for _, count, rate in lines(paid, usage))
    assert abs(bill(Price(1, 0.0, Tariff(paid)), usage).cost * MILLION - exact) * 2 <= MILLION
