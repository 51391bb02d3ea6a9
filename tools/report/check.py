#!/usr/bin/env python3
"""Opens reports of `docre report` in headless Chromium and checks them.

    tools/report/check.py report.html… [--pictures DIR] [--chromium PROGRAM]

Each page is shown at 1280 and 390 pixels, in the light and the dark theme, with closed and with open details. The checks:

- no error or warning in the console, no exception, no request except for the file itself;
- the page does not scroll sideways;
- no two texts overlap, and no text leaves the viewport, except inside containers that scroll;
- texts have a contrast of at least 4.5 with the background behind them;
- headings descend one level at a time; landmarks, captions and labels exist; identifiers are unique, and links inside of
  the page lead to one;
- the Tab key reaches the links, the details and every container that scrolls, and the focus is visible;
- the link to a document opens it, and facts and pairs can be chosen by mouse and keyboard.

Python's standard library and Chromium (Debian: `apt-get install chromium`) are enough. The exit code is 1 if a check fails.
"""

import argparse
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIDTHS = (1280, 390)
HEIGHT = 900
THEMES = ("light", "dark")
TIMEOUT = 120
# The most lines that are printed of one check.
SHOWN = 8

# Returns the faults of the page as it is shown, as a list of sentences.
LAYOUT = (Path(__file__).parent / "layout.js").read_text()


class Browser:
    """Chromium with its DevTools protocol on a pair of pipes."""

    def __init__(self, program, profile):
        # Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
        commands, self.output = os.pipe()
        self.input, answers = os.pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
                 "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        script = f'exec "$@" 3<&{commands} 4>&{answers}'
        self.process = subprocess.Popen(["bash", "-c", script, "bash", program, *flags], pass_fds=[commands, answers],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.buffer = b""
        self.events = []
        self.number = 0

    def close(self):
        os.close(self.output)
        os.close(self.input)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def receive(self):
        """The next message."""
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.input], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self.input, 1 << 20) if ready else b""
            if not piece:
                sys.exit("error: Chromium does not answer")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        """The result of a method. Events that arrive before it are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"error: {method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        """Waits for an event."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())


class Page:
    """A report in a tab of its own."""

    def __init__(self, browser, url, width, theme):
        self.browser, self.url = browser, url
        browser.events.clear()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=HEIGHT, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        browser.events.clear()
        self.call("Page.navigate", url=url)
        browser.wait("Page.loadEventFired")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            sys.exit(f"error: {json.dumps(answer['exceptionDetails'])[:2000]}")
        return answer["result"].get("value")

    def faults_of_events(self):
        """The messages of the console, exceptions and requests so far."""
        # Events that belong to earlier calls have arrived by the time of this answer.
        self.evaluate("new Promise(done => setTimeout(done, 100))")
        for event in self.browser.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                texts = [argument.get("value", "") for argument in parameters["args"]]
                yield f"console: {' '.join(map(str, texts))}"
            elif method == "Runtime.exceptionThrown":
                yield f"exception: {parameters['exceptionDetails'].get('text')}"
            elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                yield f"console: {parameters['entry']['text']}"
            elif method == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if url.split("#")[0] != self.url.split("#")[0] and not url.startswith("data:"):
                    yield f"request: {url}"

    def focus_faults(self):
        """Presses Tab until the focus leaves the page; what it reached has to be visible and complete."""
        n_expected = self.evaluate("window.reportChecks.focusable()")
        self.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        reached = set()
        for _ in range(2 * n_expected + 10):
            self.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
            state = self.evaluate("window.reportChecks.focus()")
            if state is None or state["index"] in reached:
                break
            reached.add(state["index"])
            if not state["visible"]:
                yield f"the focus is not visible on {state['name']}"
        missed = self.evaluate(f"window.reportChecks.names({json.dumps(sorted(set(range(n_expected)) - reached))})")
        for name in missed:
            yield f"the Tab key does not reach {name}"

    def picture(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)


def check(browser, report, pictures):
    """Checks a report in all forms and returns the number of faults."""
    url = report.resolve().as_uri()
    n_faults = 0
    for width in WIDTHS:
        for theme in THEMES:
            page = Page(browser, url, width, theme)
            faults = []
            page.evaluate(LAYOUT)
            if pictures:
                page.picture(pictures / f"{report.stem}-{width}-{theme}.png")
            faults += page.evaluate("window.reportChecks.layout()")
            faults += page.evaluate("window.reportChecks.structure()")
            # Both themes have the same elements.
            if theme == THEMES[0]:
                faults += page.focus_faults()
            page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
            opened = page.evaluate("window.reportChecks.layout()") + page.evaluate("window.reportChecks.structure()")
            if theme == THEMES[0]:
                opened += page.focus_faults()
            faults += [f"with open details: {fault}" for fault in opened]
            if pictures:
                page.picture(pictures / f"{report.stem}-{width}-{theme}-open.png")
            faults += page.evaluate("window.reportChecks.behaviour()")
            faults += page.faults_of_events()
            page.close()
            state = "no fault" if not faults else f"{len(faults)} faults"
            print(f"{report}, {width} pixels, {theme}: {state}")
            for fault in faults[:SHOWN]:
                print(f"  {fault}")
            if len(faults) > SHOWN:
                print(f"  and {len(faults) - SHOWN} more")
            n_faults += len(faults)
    return n_faults


def main():
    parser = argparse.ArgumentParser(description="Checks pages of `docre report` in headless Chromium.")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="directory for screenshots")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    arguments = parser.parse_args()
    if not arguments.chromium:
        sys.exit("error: there is no Chromium; install it (`apt-get install chromium`), or give --chromium")
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(arguments.chromium, profile)
        try:
            faults = sum(check(browser, report, arguments.pictures) for report in arguments.reports)
        finally:
            browser.close()
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
