#!/usr/bin/env python3
"""Every check of check.py finds its fault in a small page, and nothing in a page without faults.

    tools/report/test_check.py
"""

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

import check

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>t</title><link rel="icon" href="data:,">
<style>body {{ margin: 8px; background: #fff; color: #111; }} {style}</style></head>
<body><header><h1>Title</h1></header><main>{body}</main><footer>end</footer></body></html>"""

SVG = '<svg viewBox="0 0 100 40" width="100" height="40" role="img" aria-label="a drawing">{}</svg>'

# A document whose script is missing.
DOCUMENT = """<details class="doc"><summary>t</summary><div class="doc-body" id="d">
<button class="doc-fact" aria-pressed="false">f</button><p class="doc-chosen"></p></div></details>"""

# A part of the message, the body and the style of a page with the fault.
FAULTS = [
    ("console: oh", "<script>console.error('oh')</script>", ""),
    ("exception: ", "<script>missing()</script>", ""),
    ("request: ", '<img alt="" src="missing.png" width="9" height="9">', ""),
    ("pixels wide", '<div style="width: 2000px; height: 9px; background: #eee"></div>', ""),
    ("overlap", '<p>one</p><p style="margin-top: -2.2em">two</p>', ""),
    ("overlap", SVG.format('<text x="5" y="20">one</text><text x="9" y="20">two</text>'), ""),
    ("leaves the viewport", '<p style="margin-left: -20px">text</p>', ""),
    ("leaves its drawing", SVG.format('<text x="80" y="20">a long text</text>'), "svg { overflow: visible; }"),
    ("the contrast of", '<p style="color: #999">pale</p>', ""),
    ("the contrast of", SVG.format('<text x="5" y="20" fill="#ccc">pale</text>'), ""),
    ("follows a heading", "<h3>x</h3>", ""),
    ("is not unique", '<p id="a">x</p><p id="a">y</p>', ""),
    ("leads to no element", '<p><a href="#nowhere">x</a></p>', ""),
    ("no caption", "<table><tr><td>x</td></tr></table>", ""),
    ("no scope", "<table><caption>c</caption><tr><th>x</th></tr></table>", ""),
    ("no text alternative", '<svg width="9" height="9"></svg>', ""),
    ("has no label", '<div role="region"></div>', ""),
    ("scrolls without focus", '<div style="overflow: auto; width: 50px"><div style="width: 500px">x</div></div>', ""),
    ("focus is not visible", '<p><a href="#">x</a></p>', "a:focus { outline: none; }"),
    ("does not open its document", DOCUMENT + "<script>addEventListener('hashchange', () =>"
     " { document.querySelector('details').open = false; })</script>", ""),
    ("does not choose a fact", DOCUMENT, ""),
    ("does not reach", '<p><a href="#">x</a> <a href="#" class="b">y</a></p>'
     "<script>document.querySelector('.b').addEventListener('focus', e => e.target.blur())</script>", ""),
]


def output(browser, page, body, style):
    """The output of the checks of a page."""
    page.write_text(PAGE.format(style=style, body=body))
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        check.check(browser, page, None)
    return text.getvalue()


def main():
    program = shutil.which("chromium") or sys.exit("error: there is no Chromium")
    # One form of the page is enough here.
    check.WIDTHS, check.THEMES = (390,), ("light",)
    failures = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        browser = check.Browser(program, Path(directory) / "profile")
        page = Path(directory) / "page.html"
        good = output(browser, page, '<h2 id="a">x</h2><p><a href="#a">y</a></p><details><summary>s</summary>z</details>', "")
        if "no fault" not in good:
            failures += 1
            print(f"a page without faults: {good}")
        for expected, body, style in FAULTS:
            found = output(browser, page, body, style)
            if expected not in found:
                failures += 1
                print(f"{expected!r} is not found in {body}: {found}")
        browser.close()
    print(f"{len(FAULTS) + 1 - failures} of {len(FAULTS) + 1} pages are judged as expected")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
