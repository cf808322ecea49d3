"""`GET /v1/chat/completions`: a user's own stored completions, wherever they live, in one list."""

import pytest

from app.protocol.endpoints import ObjectKind
from app.services import accounts, catalog, tokens, upstreams
from tests.contract.objects import make
from tests.live import PASSWORD, ask

MODELS = ["sim-1", "other-1", "sim-2", "other-2", "sim-1"]
LIST = "/v1/chat/completions"


@pytest.fixture
def erin(house, request):
    """A user with five stored completions at two upstreams, oldest first."""
    name = f"erin-{abs(hash(request.node.nodeid))}"

    def create():
        user = accounts.create_user(email=f"{name}@example.com", password=PASSWORD, role="user", actor=None)
        return tokens.mint(user, name="only", actor=user).secret

    with house.app.app_context():
        house.tokens["erin"] = create()
    yield [make(house, ObjectKind.CHAT_COMPLETION, model=model, who="erin") for model in MODELS]
    del house.tokens["erin"]


def page(house, query="", who="erin"):
    answer = house.ask("GET", f"{LIST}?{query}", who=who)
    assert answer.status == 200, answer.body
    return answer.json()


def ids(listed):
    return [entry["id"] for entry in listed["data"]]


def walk(house, query):
    """Every page's ids, by the cursors that the pages give."""
    pages, after = [], ""
    while True:
        listed = page(house, f"{query}{after}")
        pages.append(ids(listed))
        assert listed["first_id"] == (pages[-1] or [None])[0]
        assert listed["last_id"] == (pages[-1] or [None])[-1]
        if not listed["has_more"]:
            return pages
        after = f"&after={listed['last_id']}"


def lose(house, object_id, key="sim-main"):
    """Delete an object at its upstream, past Realms."""
    gone = ask(house.provider.port, "DELETE", f"{LIST}/{object_id}", headers={"authorization": f"Bearer {key}"})
    assert gone.status == 200


def test_a_list_merges_the_upstreams_in_order_of_creation(house, erin):
    listed = page(house)
    assert ids(listed) == erin
    assert [entry["model"] for entry in listed["data"]] == MODELS
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert (listed["first_id"], listed["last_id"]) == (erin[0], erin[-1])
    assert ids(page(house, "order=desc")) == erin[::-1]
    assert ids(page(house, "order=asc")) == erin


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_follow_each_other_across_upstreams(house, erin, order, limit):
    pages = walk(house, f"order={order}&limit={limit}")
    assert [i for listed in pages for i in listed] == (erin if order == "asc" else erin[::-1])
    assert {len(listed) for listed in pages[:-1]} <= {limit}
    assert pages[-1] != []


def test_the_model_filter_is_by_the_name_that_was_asked_for(house, erin):
    assert ids(page(house, "model=sim-1")) == [erin[0], erin[4]]
    assert ids(page(house, "model=sim-1&limit=1")) == [erin[0]]
    assert page(house, "model=sim-1&limit=1")["has_more"]
    assert ids(page(house, f"model=sim-1&after={erin[0]}")) == [erin[4]]
    assert ids(page(house, "model=nothing")) == []
    assert ids(page(house, "model=%00")) == [], "no database is asked for what it can't keep"


@pytest.mark.acceptance("B-7")
@pytest.mark.parametrize(
    "query",
    [
        "metadata[realms_owner]=someone",
        "metadata[x]=y",
        "metadata%5Brealms_owner%5D=1",
        "metadata[a]=b&metadata[a]=c",
        "user_id=2",
        "first_id=x&last_id=y",
    ],
)
def test_filters_by_metadata_change_nothing(house, erin, query):
    assert ids(page(house, query)) == erin


def test_an_empty_list_has_the_shape_of_one(house):
    told = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert page(house, who="admin") == told


@pytest.mark.parametrize("at", [0, 1, 2, 4])
def test_an_object_that_its_upstream_lost_is_dropped_and_its_row_retired(house, erin, at):
    lose(house, erin[at], key="sim-second" if at == 1 else "sim-main")
    left = [object_id for object_id in erin if object_id != erin[at]]
    assert walk(house, "limit=2") == [left[:2], left[2:]]
    row = house.rows(f"SELECT deleted_at FROM owned_objects WHERE object_id = '{erin[at]}'")[0]
    assert row["deleted_at"]
    assert house.ask("GET", f"{LIST}/{erin[at]}", who="erin").status == 404
    assert ids(page(house, f"after={erin[at]}")) == erin[at + 1 :]


def test_a_page_is_full_although_objects_before_it_are_lost(house, erin):
    lose(house, erin[0])
    lose(house, erin[2])
    listed = page(house, "limit=2")
    assert ids(listed) == [erin[1], erin[3]]
    assert listed["has_more"]


def test_more_is_not_promised_for_an_object_that_is_lost(house, erin):
    lose(house, erin[4])
    listed = page(house, "limit=4")
    assert ids(listed) == erin[:4]
    assert not listed["has_more"]


def test_a_deleted_completion_leaves_the_list(house, erin):
    assert house.ask("DELETE", f"{LIST}/{erin[1]}", who="erin").status == 200
    assert ids(page(house)) == [erin[0], *erin[2:]]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("status=500", 502),
        ("status=401", 502),
        ("status=503", 503),
        ("reset", 502),
        ("html", 502),
        ("not_found_endpoint", 502),
        ("broken_json", 502),
    ],
)
def test_an_upstream_that_is_down_fails_the_page_and_never_shortens_it(house, erin, sim, fault, status):
    path = f"/v1/chat/completions/{erin[1]}"
    sim.control("POST", "faults", {"fault": fault, "path": path})
    answer = house.ask("GET", LIST, who="erin")
    sim.control("DELETE", "faults")
    assert answer.status == status
    assert answer.json()["error"]["type"] == "server_error"
    assert ids(page(house)) == erin


def test_a_disabled_upstream_fails_the_page_and_a_deleted_ones_objects_leave_the_list(house, erin):
    def create():
        made = upstreams.create(
            name="listed",
            kind="openai",
            base_url=f"{house.provider.url}/v1",
            key="sim-listed",
            priority=0,
            weight=1,
            actor=None,
        )
        catalog.import_models(made.id, {"listed-1": None}, actor=None)
        return made.id

    upstream_id = house.changed(create)
    sixth = make(house, ObjectKind.CHAT_COMPLETION, model="listed-1", who="erin")
    assert ids(page(house)) == [*erin, sixth]
    house.changed(lambda: upstreams.set_enabled(upstream_id, enabled=False, actor=None))
    assert house.ask("GET", LIST, who="erin").status == 503
    house.changed(lambda: upstreams.delete(upstream_id, actor=None))
    assert ids(page(house)) == erin


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "limit=1e1",
        f"limit={'9' * 5000}",
        "limit=0000000010000",
        f"limit=000000001{'0' * 5000}",
        "order=up",
        "&".join(["a=b"] * 101),
    ],
    ids=lambda query: query[:12],
)
def test_a_query_that_makes_no_sense_is_refused(house, query):
    answer = house.ask("GET", f"{LIST}?{query}")
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "invalid_value"


def test_the_list_is_read_by_the_official_client(house, erin):
    import openai

    with openai.OpenAI(api_key=house.tokens["erin"], base_url=f"{house.url}/v1", max_retries=0) as client:
        assert [entry.id for entry in client.chat.completions.list(limit=2)] == erin
