"""A look at pages: what the browser complained about, what axe found, and whether they fit their window."""

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI));
"""
RUN_AXE = "axe.run(document, {resultTypes: ['violations']})"
SCRIPTS_OF_OTHERS = """
[...document.querySelectorAll("script:not([src]), [onerror], [onload], iframe, object, embed")].map((e) => e.outerHTML)
"""
CUT = """
[...document.querySelectorAll(".table")].filter((e) => e.scrollWidth > e.clientWidth)
  .map((e) => `the table ${e.querySelector("caption")?.textContent} is cut by ${e.scrollWidth - e.clientWidth} px`)
"""
WIDTHS = {"wide": 1440, "phone": 390}
HEIGHT = 900
TABLET = {"width": 1024, "height": HEIGHT}
"""The narrowest window in which no table is cut; below it a table may be moved, and on a phone its rows are cards."""
LOOKS = (("phone", "light"), ("wide", "dark"), ("phone", "dark"), ("wide", "light"))
"""Every width in every colour scheme."""
ALL = os.environ.get("REALMS_TEST_LOOKS") == "all"
SHOTS = os.environ.get("REALMS_TEST_SHOTS")
"""A folder for a picture of each look, where somebody wants to see them."""


def looks(turn):
    """The looks that a page is given, and how many of the last of them axe sees too.

    All four, where all are wanted (`make pages`); else two that differ in both respects, and axe sees one. Turns go
    round, so that in two languages a page has all four looks, and all pages together have axe at each of them alike.
    """
    if ALL:
        return LOOKS, len(LOOKS)
    pair = LOOKS[turn % 2 * 2 :][:2]
    return (pair if turn // 2 % 2 else pair[::-1]), 1


@dataclass
class Look:
    """A window, and what it complained about since it was last asked."""

    page: Any
    language: str = "en"
    complaints: list[str] = field(default_factory=list)

    def axe(self):
        """What axe finds wrong, one line each. It is run past the page's policy, as browser extensions are."""
        self.page.evaluate(AXE.read_text() + "; undefined")
        found = self.page.evaluate(RUN_AXE)["violations"]
        return [f"{v['id']}: {v['nodes'][0]['target']} {v['nodes'][0]['failureSummary']}" for v in found]

    def told(self):
        """What was complained about on this page, in whatever way."""
        told, self.complaints = self.complaints, []
        return told + self.violations() + self.page.evaluate(SCRIPTS_OF_OTHERS)

    def wrong(self, name, turn=0):
        """What is wrong with this page, looked at in turn: too wide, not accessible, not quiet."""
        found = [] if self.page.title() else ["no title"]
        given, seen_by_axe = looks(turn)
        for n, (width, scheme) in enumerate(given):
            over = self.sized(width, scheme)
            found += [f"{over} px wider than a {width} window"] if over > 0 else []
            found += self.page.evaluate(CUT)
            if SHOTS:
                file = re.sub(r"\W+", "-", name) + f".{self.language}.{width}.{scheme}.png"
                self.page.screenshot(path=Path(SHOTS) / file, full_page=True)
            found += self.axe() if n >= len(given) - seen_by_axe else []
        self.page.set_viewport_size(TABLET)
        found += self.page.evaluate(CUT)
        return [f"{name} {self.language}: {line}" for line in found + self.told()]

    def violations(self):
        return self.page.evaluate("window.violations")

    def sized(self, width, scheme):
        """Have the window in a width and a colour scheme; return by how many pixels the page is wider than it."""
        self.page.set_viewport_size({"width": WIDTHS[width], "height": HEIGHT})
        self.page.emulate_media(color_scheme=scheme)
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextmanager
def look(browser, *, language="en", width="wide", scheme="light", cookie=None, script=True, zone=None):
    """Open a window in a language, width and colour scheme, with the sign-in of somebody."""
    context = browser.new_context(
        locale=language,
        viewport={"width": WIDTHS[width], "height": HEIGHT},
        color_scheme=scheme,
        reduced_motion="reduce",  # colours that are still changing are nobody's contrast
        java_script_enabled=script,
        timezone_id=zone,
    )
    if cookie is not None:
        context.add_cookies([cookie])
    page = context.new_page()
    page.add_init_script(NOTE_VIOLATIONS)
    seen = Look(page, language)
    page.on(
        "console", lambda m: seen.complaints.append(f"console: {m.text}") if m.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    try:
        yield seen
    finally:
        context.close()
