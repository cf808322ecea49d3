"""The page of an upstream's policy."""

from app.services import upstreams


def test_a_policy_is_tried_and_then_saved(app, admin_there, furnished):
    path = "/admin/upstreams/1/policy"
    wanted = {"policy": '{"drop": ["user"]}', "body": '{"model": "m", "user": "u"}', "endpoint": "chat.create"}
    tried = admin_there.submit(path, wanted | {"try": "1"})
    assert "POST " in tried.text
    assert '"user"' not in tried.soup.select(".code")[0].get_text()
    with app.app_context():
        assert upstreams.get(1).policy is None
    assert admin_there.submit(path, wanted | {"save": "1"}).location == "/admin/upstreams/1"
    with app.app_context():
        assert upstreams.get(1).policy == {"drop": ["user"]}
    assert "drop" in admin_there.get("/admin/upstreams/1").text


def test_a_mistake_is_told_at_its_field(admin_there, furnished):
    page = admin_there.submit("/admin/upstreams/1/policy", {"policy": '{"drops": []}', "save": "1"})
    assert "unknown field" in page.text


def test_there_is_no_policy_of_nothing(admin_there):
    assert admin_there.get("/admin/upstreams/9/policy").status == 404


def test_a_new_upstream_starts_from_a_preset(app, admin_there):
    answer = admin_there.submit("/admin/upstreams/new", {"name": "seek", "preset": "deepseek", "key": "k"})
    assert answer.location == "/admin/upstreams/1"
    with app.app_context():
        assert upstreams.get(1).policy["preset"] == "deepseek"
