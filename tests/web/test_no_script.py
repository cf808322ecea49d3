"""Every page and every form works in a browser that runs no scripts."""

from urllib.parse import urlencode, urlsplit

from tests.rooms import filled
from tests.web.test_access import GONE, OPEN, RULES, address, is_file, rules

LAST = ("delete", "disable", "sign-out", "revoke", "logout", "end-others", "withdraw", "forget", "end", "password")
"""What ends something that other forms of the walk need: pressed in tests of its own."""
SHOWN = {200, 302}


def pages(app, browser):
    for rule in rules(app):
        if "GET" not in rule.methods or rule.rule in GONE or is_file(rule):
            continue
        path = address(rule)
        page = browser.get(path)
        if page.status == 200:
            yield path, page
        else:
            assert RULES[rule.rule] is OPEN or {"token_id", "record_id"} & rule.arguments, (path, page.status)


def test_nothing_on_a_page_needs_a_script(app, admin_there, furnished):
    for path, page in pages(app, admin_there):
        main = page.soup.main
        assert main.h1.get_text(strip=True), path
        for link in page.soup.find_all("a"):
            assert link.get("href") and not link["href"].startswith("javascript:"), f"{path}: {link}"
        for target in page.soup.find_all("a", href=lambda href: href and href.startswith("#")):
            assert page.soup.find(id=target["href"][1:]), f"{path}: {target}"
        for button in page.soup.select("button:not([hidden] button)"):  # what is hidden only a script brings out
            assert button.find_parent("form") and button.get("type") == "submit", f"{path}: {button}"
        for form in page.soup.find_all("form"):
            assert form.get("method", "get") in {"get", "post"}, path
            assert form.find("button", type="submit"), f"{path}: a form that only a script could send"
        for field in main.select("input, select, textarea"):
            assert field.get("name"), f"{path}: {field}"
            assert field.find_parent("form"), f"{path}: {field}"
            assert field.get("hidden") is None and field.get("disabled") is None, f"{path}: {field}"


def test_every_form_is_sent_as_a_browser_without_scripts_sends_it(app, admin_there, furnished):
    sent, refused = set(), {}
    for path, page in list(pages(app, admin_there)):
        for form in page.soup.find_all("form"):
            action = form.get("action") or path
            name = (form.get("method", "get"), action)
            if name in sent or urlsplit(action).path.rstrip("/").endswith(LAST):
                continue
            sent.add(name)
            data = filled(form, {})
            button = form.find("button", type="submit")
            if button.get("name"):
                data[button["name"]] = button.get("value", "")
            answer = (
                admin_there.get(f"{action}?{urlencode(data)}") if name[0] == "get" else admin_there.post(action, data)
            )
            if answer.status not in SHOWN:
                refused[name] = answer.status
            elif answer.status == 200:
                assert answer.soup.h1, name
    assert refused == {}
    assert len(sent) > 30, sent
