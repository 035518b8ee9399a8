"""Chromium without a window, spoken to over two pipes: what a page looks like and asks for."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe"
).split()


class Browser:
    """One page of one browser, which is ended with the block.

    Args:
        folder: An empty folder for what the browser keeps.
        patience: Seconds until an answer must be there.
    """

    def __init__(self, folder: Path, patience: float = 120.0) -> None:
        self.events: list[dict[str, Any]] = []
        self._folder, self._patience, self._number, self._unread = folder, patience, 0, b""

    def __enter__(self) -> Browser:
        assert CHROMIUM is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def wire() -> None:  # the browser reads from 3 and writes to 4
            kept = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={self._folder}", "about:blank"],
            preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", {"url": "about:blank"}, False)["targetId"]
        attached = {"targetId": target, "flatten": True}
        self._session = self.call("Target.attachToTarget", attached, False)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(AssertionError, OSError):  # it may have ended by itself
            self.call("Browser.close", in_page=False)
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def open(self, path: Path, width: int, dark: bool = False) -> None:
        """Show a file in a window of so many pixels.

        Args:
            path: The file.
            width: Pixels.
            dark: Whether the reader prefers dark pages.
        """
        self.events.clear()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", size)
        self.call("Emulation.setScrollbarsHidden", {"hidden": True})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.call("Page.navigate", {"url": path.resolve().as_uri()})
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._take()

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives.

        Args:
            expression: The expression; its value is plain.
        """
        asked = {"expression": expression, "returnByValue": True}
        return self.call("Runtime.evaluate", asked)["result"].get("value")

    def picture(self, path: Path) -> None:
        """Write what is shown, from top to end, as a PNG.

        Args:
            path: The file.
        """
        asked = {"captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", asked)["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console since the page was opened."""
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [str(event["params"]) for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened, the page's among them."""
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def call(
        self, method: str, values: dict[str, Any] | None = None, in_page: bool = True
    ) -> dict[str, Any]:
        """Ask the browser, and wait for its answer.

        Args:
            method: Name in Chromium's DevTools protocol.
            values: Arguments.
            in_page: Whether the page is asked, else the browser.
        """
        self._number += 1
        asked = {"id": self._number, "method": method, "params": values or {}}
        if in_page:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while (answer := self._take()) is None or answer["id"] != asked["id"]:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _take(self) -> dict[str, Any] | None:
        """The next answer; `None` if it is an event, which is kept."""
        end = time.monotonic() + self._patience
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser says nothing"
            read = os.read(self._in, 1 << 16)
            assert read, "the browser has ended"
            self._unread += read
        text, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(text)
        if "id" in message:
            return message
        self.events.append(message)
        return None
