"""Without a mail server nothing is offered that would need one."""


def test_no_way_by_mail_is_shown_or_open(stranger):
    assert [stranger.get(path).status for path in ("/forgot", "/register")] == [404, 404]
    page = stranger.get("/login")
    assert not page.soup.find("a", href="/forgot")
    assert not page.soup.find("a", href="/register")


def test_registration_stays_as_it_is(admin_there, stranger):
    page = admin_there.submit("/admin/settings", {"registration": "open", "mail_domains": "*"})
    assert "REALMS_SMTP_URL" in page.text
    assert page.status == 200
    assert stranger.get("/register").status == 404
