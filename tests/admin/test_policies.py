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


def test_a_new_upstream_begins_behind_its_proxy(app, admin_there):
    form = {
        "name": "far",
        "preset": "deepseek",
        "key": "k",
        "proxy": "http://127.0.0.1:9",
        "proxy_login": "user:geheim",
    }
    assert "nothing after the port" in admin_there.submit("/admin/upstreams/new", form | {"proxy": "http://x:1/"}).text
    page = admin_there.follow(admin_there.submit("/admin/upstreams/new", form))
    assert "the proxy http://127.0.0.1:9 can" in page.text, "it is tested at once, and not around it"
    assert "geheim" not in page.text
    with app.app_context():
        assert upstreams.get(1).proxy_login


def test_a_proxys_login_is_entered_beside_the_policy_and_never_shown_again(app, admin_there, furnished):
    path, form = "/admin/upstreams/1/policy", {"endpoint": "chat.create", "body": '{"model": "m"}', "save": "1"}
    form |= {"policy": '{"proxy": "http://proxy.example:3128"}', "proxy_login": "user:geheim"}
    assert admin_there.submit(path, form).location == "/admin/upstreams/1"
    for page in (path, "/admin/upstreams/1", "/admin/audit"):
        assert "geheim" not in admin_there.get(page).text
    assert "kept" in admin_there.get(path).text
    tried = admin_there.submit(path, {name: form[name] for name in ("policy", "endpoint", "body")} | {"try": "1"})
    assert "Through the proxy http://proxy.example:3128" in tried.text
    assert "user:password" in admin_there.submit(path, form | {"proxy_login": "user"}).text
    admin_there.submit(path, form | {"proxy_login": "", "no_proxy_login": "y"})
    with app.app_context():
        assert upstreams.get(1).proxy_login is None
