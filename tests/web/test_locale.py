"""Languages: which one a page speaks, and that the Chinese catalogue says everything."""

import io
import re
from pathlib import Path

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

from app.web.locale import FOLDER, catalogue
from tests.rooms import ADMIN, ALICE
from tests.web.test_access import GONE, OWN, address, is_file, rules

ROOT = Path(__file__).parents[2]
KEYWORDS = DEFAULT_KEYWORDS | {"_l": None, "lazy_gettext": None}
HAN = re.compile(r"[\u4e00-\u9fff]")
PO = FOLDER / "zh_Hans" / "LC_MESSAGES" / "messages.po"


def extracted():
    """Every message of the code, of services included, and of the templates."""
    found = set()
    for folder, method in (("app", "python"), ("templates", "jinja2")):
        pattern = "**.py" if method == "python" else "**.html"
        options = {pattern: {"encoding": "utf-8", "silent": "false"}}
        for *_, message, _comments, _context in extract_from_dir(
            ROOT / folder, [(pattern, method)], options, keywords=KEYWORDS
        ):
            found.add(message)
    return found


def test_the_chinese_catalogue_is_complete_and_has_nothing_more():
    ids = {message.id for message in catalogue("zh_Hans") if message.id}
    assert ids == extracted()


def test_every_message_is_translated_with_its_placeholders():
    for message in catalogue("zh_Hans"):
        if not message.id:
            continue
        singular, _plural = message.id if isinstance(message.id, tuple) else (message.id, "")
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(texts), f"untranslated: {message.id}"
        assert not message.fuzzy, message.id
        assert not list(message.check()), message.id
        same = {"%(size)s MB"}
        assert singular in same or all(HAN.search(text) for text in texts), f"not Chinese: {texts}"


def test_the_catalogue_file_is_clean():
    assert not read_po(io.BytesIO(PO.read_bytes()), abort_invalid=True).obsolete


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("en", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("zh-TW", "zh-Hans"),
        ("en-GB,zh;q=0.5", "en"),
        ("fr,de", "en"),
        ("", "en"),
        ("*", "en"),
    ],
)
def test_the_browser_asks(stranger, header, language):
    assert stranger.get("/login", headers={"Accept-Language": header}).soup.html["lang"] == language


def choose(browser, path, language):
    form = browser.get(path).soup.find("form", action="/language")
    token, back = (form.find(attrs={"name": name})["value"] for name in ("csrf_token", "next"))
    return browser.post("/language", {"csrf_token": token, "next": back, "language": language})


def test_the_cookie_beats_the_browser_and_leads_back(stranger):
    answer = choose(stranger, "/login?next=/tokens", "zh_Hans")
    assert answer.location == "/login?next=/tokens"
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert stranger.get("/login").soup.h1.get_text() == "登录"


def test_the_profile_beats_the_cookie(app, stranger):
    choose(stranger, "/login", "zh_Hans")
    stranger.sign_in(ALICE)
    assert stranger.get("/").soup.html["lang"] == "zh-Hans", "nothing in the profile yet"
    stranger.submit("/account", {"locale": "en"}, action="/account/language")
    assert stranger.get("/").soup.html["lang"] == "en"


def test_choosing_below_a_page_changes_the_profile_too(alice_there, app):
    choose(alice_there, "/connect", "zh_Hans")
    assert alice_there.get("/account").soup.find("option", selected=True)["value"] == "zh_Hans"


def test_an_unknown_language_is_refused(alice_there):
    assert alice_there.post("/language", {"csrf_token": alice_there.token(), "language": "../x"}).status == 400


def test_every_page_speaks_chinese(app, admin_there, furnished):
    english = {m.id for m in catalogue("zh_Hans") if isinstance(m.id, str) and len(m.id) > 12 and "%" not in m.id}
    admin_there.sent = {"Accept-Language": "zh-CN"}
    for rule in rules(app):
        if "GET" not in rule.methods or rule.rule in GONE or "token_id" in rule.arguments:
            continue
        if rule.rule in OWN or is_file(rule):
            continue
        page = admin_there.follow(admin_there.get(address(rule)))
        assert page.status == 200, rule.rule
        assert page.soup.html["lang"] == "zh-Hans", rule.rule
        assert HAN.search(page.soup.main.get_text()), rule.rule
        left = [text for text in english if text in page.text]
        assert not left, f"{rule.rule}: {left}"


def test_a_mistake_is_told_in_chinese(admin_there):
    admin_there.sent = {"Accept-Language": "zh-CN"}
    form = {"name": "x", "base_url": "ftp://nowhere", "key": "k" * 20}
    page = admin_there.submit("/admin/upstreams/new", form)
    assert "请输入 http 或 https 地址" in page.text
    page = admin_there.submit("/admin/users/new", {"email": ADMIN, "password": "a good long password"})
    assert "此电子邮箱已被使用" in page.text
    page = admin_there.submit("/tokens/new", {"name": ""})
    assert "请填写此项" in page.text


def test_no_page_keeps_the_words_of_who_came_before(app, admin_there, furnished):
    """What a template works out once, at its first use, would be in its first visitor's language for ever."""
    for language in ("zh-CN", "en"):
        for rule in rules(app):
            if "GET" in rule.methods and rule.rule not in GONE | OWN and not is_file(rule):
                page = admin_there.get(address(rule), headers={"Accept-Language": language})
                if language == "en" and page.status == 200:
                    said = page.soup.main.get_text().replace("简体中文", "")
                    assert not HAN.search(said), rule.rule
