"""What browsers are given: vendored files as they were published, a small house style, nothing inline."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "static" / "vendor"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def versions():
    lines = (VENDOR / "VERSIONS").read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


@pytest.mark.acceptance("L-5")
def test_vendored_files_are_those_that_were_published():
    rows = versions()
    assert {row[0] for row in rows} | {"VERSIONS"} == {path.name for path in VENDOR.iterdir()}
    for name, _package, _version, licence, digest in rows:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
        assert licence in {"MIT", "0BSD"}


def test_the_house_style_stays_small():
    assert (ROOT / "static" / "realms.css").stat().st_size <= 16 * 1024
    assert len((ROOT / "static" / "realms.js").read_text().splitlines()) <= 250


@pytest.mark.acceptance("L-5")
def test_nothing_comes_from_elsewhere():
    for path in (ROOT / "static").rglob("*"):
        if path.suffix in {".css", ".js"}:
            assert not re.search(r"url\(\s*['\"]?(https?:)?//", path.read_text()), path
            assert "@import" not in path.read_text(), path


def test_templates_hold_nothing_inline_and_nothing_unescaped():
    for path in TEMPLATES:
        text = path.read_text()
        assert not re.search(r"\|\s*safe|autoescape|<style|\sstyle=|\son[a-z]+=", text), path
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), path
        assert not re.search(r"<[a-z][^>{}]*\s[a-z-]+=\{\{", text), f"unquoted attribute in {path}"


def test_every_posting_form_carries_the_token():
    for path in TEMPLATES:
        text = path.read_text()
        for form in re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL):
            assert "csrf_token" in form, path


def test_macros_work_nothing_out_before_they_are_called():
    """Their files are run once for all visitors, whatever those speak."""
    for path in (ROOT / "templates" / "macros").iterdir():
        assert not re.search(r"^\{%-? set", path.read_text(), re.MULTILINE), path
