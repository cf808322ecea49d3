"""Mail on its way, to a real mail server in each of the three ways, and to ones that refuse."""

import contextlib
import time

import pytest
import structlog
import trustme
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.services import mail
from app.services.mail import WAITING_MAX, Letter, Mail
from app.settings import Settings
from tests.post_office import open_post_office

LOGIN = "realms:p%40ss%2Fword"
LETTER = Letter("alice@example.com", "Grüße", "Hello 你好\nhttps://realms.example.com/reset?token=x\n")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def offices(tmp_path_factory, authority):
    """A mail server for each way, and what one has to trust."""
    folder = tmp_path_factory.mktemp("post")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    with contextlib.ExitStack() as stack:
        modes = {
            "smtp+plain": stack.enter_context(open_post_office(folder / "plain")),
            "smtp": stack.enter_context(
                open_post_office(folder / "starttls", "starttls", folder / "cert.pem", "realms:p@ss/word")
            ),
            "smtps": stack.enter_context(open_post_office(folder / "smtps", "smtps", folder / "cert.pem")),
        }
        yield modes, folder / "ca.pem"


@pytest.fixture
def post_to(app, offices, monkeypatch):
    """Return what sends by a scheme to an office."""
    monkeypatch.setattr(mail, "PAUSE_S", 0.01)
    monkeypatch.setattr(mail, "log", structlog.get_logger())  # one that hasn't made up its mind where to write
    modes, ca = offices

    def to(scheme, office=None, login="", ca_file=ca):
        port = modes[office or scheme].port
        url = f"{scheme}://{login + '@' if login else ''}127.0.0.1:{port}"
        settings = Settings(smtp_url=SecretStr(url), mail_from="realms@example.com", ca_file=ca_file)
        return Mail(settings, app.app_context), modes[office or scheme]

    return to


def sent(post, letter=LETTER):
    """Send, and return what the log says of it."""
    with capture_logs() as logs:
        post.later(lambda: letter)
        post.deliver()
    return [line["reason"] for line in logs]


@pytest.mark.parametrize(("scheme", "login"), [("smtp+plain", ""), ("smtp", LOGIN), ("smtps", "")])
def test_a_letter_arrives_as_it_was_written(post_to, scheme, login):
    post, office = post_to(scheme, login=login)
    before = len(office.letters())
    assert sent(post) == []
    (letter,) = office.letters()[before:]
    assert (letter["To"], letter["From"], letter["Subject"]) == (
        LETTER.to, "Realms <realms@example.com>", LETTER.subject,
    )  # fmt: skip
    assert letter.get_content().replace("\r\n", "\n") == LETTER.text
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "answers 250" in post.reach()


def test_what_was_to_be_encrypted_is_never_sent_in_clear(post_to):
    post, office = post_to("smtp", office="smtp+plain", login=LOGIN)
    before = len(office.letters())
    assert sent(post) == ["SMTPNotSupportedError"]
    assert len(office.letters()) == before


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_nobody_vouches_for_gets_nothing(post_to, scheme):
    post, _office = post_to(scheme, ca_file=None)
    assert sent(post) == ["SSLCertVerificationError"]


def test_a_wrong_password_is_no_reason_to_go_on(post_to):
    post, _office = post_to("smtp", login="realms:wrong")
    assert sent(post) == ["SMTPAuthenticationError"]


def test_what_may_pass_is_tried_again_and_what_stays_is_not(post_to):
    post, office = post_to("smtp+plain")
    before = len(office.letters())
    assert sent(post, Letter("later@example.com", "x", "y")) == ["SMTPRecipientsRefused"]
    assert len(office.letters()) == before + 1
    assert sent(post, Letter("refused@example.com", "x", "y")) == ["SMTPRecipientsRefused"]


@pytest.mark.parametrize("to", ["bob@example.com,eve@example.com", "a@b@c", "x\r\nBcc: eve@example.com", "<a>@b"])
def test_one_address_is_one_recipient(post_to, to):
    post, office = post_to("smtp+plain")
    before = len(office.letters())
    assert len(sent(post, Letter(to, "x", "y"))) == 1
    assert len(office.letters()) == before


def test_nothing_is_written_into_the_head_of_a_mail(post_to):
    post, office = post_to("smtp+plain")
    before = len(office.letters())
    assert sent(post, Letter("a@example.com", "x\r\nBcc: eve@example.com", "y")) == ["ValueError"]
    assert len(office.letters()) == before


def test_what_waits_is_bounded_and_asking_takes_no_time(post_to):
    post, _office = post_to("smtp+plain")
    began = time.monotonic()
    with capture_logs() as logs:
        for _ in range(WAITING_MAX + 1):
            post.later(lambda: None)
    assert [line["reason"] for line in logs] == ["too many wait"]
    assert time.monotonic() - began < 1
    post.deliver()


def test_without_a_mail_server_none_is_offered(app):
    assert not app.extensions["realms"].mail.offered
