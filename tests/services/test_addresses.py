import pytest

from app.services.addresses import normal_base_url
from app.services.fields import FieldError


@pytest.mark.acceptance("E-2")
@pytest.mark.parametrize(
    ("entered", "kept"),
    [
        ("https://api.example.com", "https://api.example.com"),
        (" HTTPS://API.Example.com/v1/ ", "https://api.example.com/v1"),
        ("http://127.0.0.1:9000//", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/v1", "http://[::1]:9000/v1"),
        ("https://example.com/Sub/Path", "https://example.com/Sub/Path"),
    ],
)
def test_an_address_is_kept_in_one_form(entered, kept):
    assert normal_base_url(entered, refuse=FieldError) == kept


@pytest.mark.acceptance("E-2")
@pytest.mark.parametrize(
    "entered",
    [
        "",
        "api.example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://:443",
        "https://user@example.com",
        "https://user:pass@example.com",
        "https://example.com?x=1",
        "https://example.com/#x",
        "https://example.com/?",
        "https://example.com:99999",
        "https://example.com:port",
        "https://exa mple.com",
        "https://example.com\\@evil.com",
        "https://exämple.com",
        "https://exam\nple.com",
        "https://[::1",
        "https://" + "a" * 500,
    ],
)
def test_what_no_upstream_can_be_called_at_is_refused(entered):
    with pytest.raises(FieldError) as caught:
        normal_base_url(entered, refuse=FieldError)
    assert caught.value.field == "base_url"
