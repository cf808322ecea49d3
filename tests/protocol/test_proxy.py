"""The address of a proxy: what is one, and that its login is in nothing that is shown."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.proxy import Proxy, is_login, read


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("http", "proxy.example", 3128)),
        ("https://proxy.example:443", Proxy("https", "proxy.example", 443)),
        ("socks5://10.0.0.5:1080", Proxy("socks5", "10.0.0.5", 1080)),
        ("socks5h://[fd00::5]:1080", Proxy("socks5h", "fd00::5", 1080)),
        ("HTTP://Proxy.Example:3128", Proxy("http", "proxy.example", 3128)),
    ],
)
def test_an_address_names_a_proxy(text, proxy):
    assert read(text) == proxy
    assert str(proxy) == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "", "proxy.example", "proxy.example:3128", "http://proxy.example", "http://:3128", "http://proxy.example:0",
        "http://proxy.example:99999", "http://proxy.example:x", "socks4://proxy.example:1080", "ftp://p:21",
        "http://user:password@proxy.example:3128", "http://user@proxy.example:3128", "http://@proxy.example:3128",
        "http://proxy.example:3128/", "http://proxy.example:3128/x", "http://proxy.example:3128?x",
        "http://proxy.example:3128#x", "http://proxy example:3128", "http://proxy.example:3128 ",
        "http://proxy.example:03128", "http://pröxy.example:3128", "http://proxy\r\n.example:3128", "http://[::1:3128",
        "http://proxy.example\\@other:3128", "http://a,b:3128", "http://\u212a:3128", "direct://x:1", "http://%31:3128",
    ],
)  # fmt: skip
def test_what_names_none_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match=r"\w"):
        read(text)


@given(st.text() | st.from_regex(r"\A(http|socks5)://.{0,20}:[0-9]{1,6}.{0,3}\Z"))
def test_any_text_is_refused_or_names_what_it_says(text):
    try:
        proxy = read(text)
    except ValueError:
        return
    assert str(proxy) == text.lower()
    assert not proxy.login


@pytest.mark.parametrize("refused", ["http://user:geheim@proxy.example:3128"])
def test_a_password_in_an_address_is_not_repeated(refused):
    with pytest.raises(ValueError, match="entered beside it") as told:
        read(refused)
    assert "geheim" not in str(told.value)


def test_a_login_is_never_shown():
    proxy = msgspec.structs.replace(read("http://proxy.example:3128"), login="user:geheim")
    assert "geheim" not in f"{proxy} {proxy!r} {[proxy]}"
    assert proxy != read("http://proxy.example:3128")


@pytest.mark.parametrize("good", ["user:password", "user:", "user:a:b", f"{'u' * 255}:{'p' * 255}"])
def test_a_login_is_a_user_and_a_password(good):
    assert is_login(good)


@pytest.mark.parametrize("bad", ["", "user", ":password", "us\r\ner:x", "üser:x", f"{'u' * 256}:p", f"u:{'p' * 256}"])
def test_anything_else_is_no_login(bad):
    assert not is_login(bad)
