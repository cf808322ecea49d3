"""A look at one page: what the browser complained about, and what axe found."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI));
"""
WIDTHS = {"wide": 1440, "phone": 390}


@dataclass
class Look:
    """An open page and its complaints."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def axe(self):
        """What axe finds wrong, one line each. It is run past the page's policy, as browser extensions are."""
        self.page.evaluate(AXE.read_text() + "; undefined")
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [f"{v['id']}: {v['nodes'][0]['target']} {v['nodes'][0]['failureSummary']}" for v in found]

    def violations(self):
        return self.page.evaluate("window.violations")

    def sideways(self):
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextmanager
def look(browser, *, language="en", width="wide", scheme="light", cookies=None, script=True):
    """Open a window in a language, width and colour scheme, with the cookies of somebody."""
    context = browser.new_context(
        locale=language,
        viewport={"width": WIDTHS[width], "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",  # colours that are still changing are nobody's contrast
        storage_state=cookies,
        java_script_enabled=script,
    )
    page = context.new_page()
    page.add_init_script(NOTE_VIOLATIONS)
    seen = Look(page)
    page.on(
        "console", lambda m: seen.complaints.append(f"console: {m.text}") if m.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    try:
        yield seen
    finally:
        context.close()
