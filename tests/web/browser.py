"""A headless browser, as tests drive it: the WebDriver protocol, in JSON over loopback.

Owns: the driver's process and its sessions. May not know: what pages show. Waiting is done in
the page, by looking at every frame, so no test sleeps.
Source: W3C WebDriver; its vendor command `goog/cdp/execute` for sizes and colour schemes.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

__all__ = ["SECONDS", "Browser", "Driver", "is_installed"]

SECONDS: Final = 20.0
"""A page that has not come to it by then will not."""

_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"

_UNTIL: Final = """
const told = arguments[arguments.length - 1];
const [condition, seconds] = arguments;
const ends = performance.now() + 1000 * seconds;
const look = new Function("return (" + condition + ")");
(function again() {
  let found = null;
  try { found = look(); } catch (error) { found = null; }
  if (found) told({found});
  else if (performance.now() > ends) told({late: document.body.innerText});
  else setTimeout(again, 20);
})();
"""


def is_installed() -> bool:
    """Tell whether a browser and its driver are here; `scripts/browser` installs them."""
    return all(shutil.which(each) for each in ("chromium", "chromedriver"))


class Driver:
    """The process that starts browsers; all of them end with it."""

    def __init__(self) -> None:
        """Start it at a port of its own choice."""
        self._folder = tempfile.TemporaryDirectory(prefix="comity-browser-")
        self._process = subprocess.Popen(
            ["chromedriver", "--port=0"],  # noqa: S607
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"HOME": self._folder.name, "PATH": "/usr/bin:/bin"},
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "started successfully on port" in line:
                self._port = int(line.rstrip(". \n").rpartition(" ")[2])
                break
        else:
            raise AssertionError("the driver did not start")

    def browser(self) -> Browser:
        """Start a browser, with a profile of its own."""
        return Browser(self)

    def ask(self, verb: str, path: str, fields: dict[str, Any] | None = None) -> Any:
        """Send one command and return its value."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=3 * SECONDS)
        body = None if fields is None else json.dumps(fields)
        connection.request(verb, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        value = json.loads(answer.read())["value"]
        connection.close()
        assert answer.status == 200, value
        return value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()


class Browser:
    """One browser with one tab."""

    def __init__(self, driver: Driver) -> None:
        """Start it without a window."""
        self._driver = driver
        options = {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        }
        found = driver.ask(
            "POST",
            "/session",
            {
                "capabilities": {
                    "alwaysMatch": {
                        "goog:chromeOptions": options,
                        "goog:loggingPrefs": {"browser": "WARNING"},
                        "timeouts": {"script": int(2000 * SECONDS)},
                    }
                }
            },
        )
        self._path = f"/session/{found['sessionId']}"

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._post("/url", {"url": "about:blank"})
        self._post("/url", {"url": url})

    def look(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        script = f"return ({expression});"
        return self._post("/execute/sync", {"script": script, "args": []})

    def until(self, expression: str) -> Any:
        """Wait until an expression in the page is true, and return its value."""
        asked = {"script": _UNTIL, "args": [expression, SECONDS]}
        told = cast("dict[str, Any]", self._post("/execute/async", asked))
        assert "found" in told, f"{expression} did not come about; shown is:\n{told['late']}"
        return told["found"]

    def text(self, text: str) -> None:
        """Wait until the page shows a text."""
        self.until(f"document.body.innerText.includes({json.dumps(text)})")

    def click(self, selector: str) -> None:
        """Wait for an element and click on it, as a person would."""
        self._post(f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Wait for an element and type into it."""
        self._post(f"/element/{self._find(selector)}/value", {"text": text})

    def clear(self, selector: str) -> None:
        """Empty a field."""
        self._post(f"/element/{self._find(selector)}/clear", {})

    def size(self, width: int, height: int = 900) -> None:
        """Give the page a size in CSS pixels."""
        self._cdp(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def scheme(self, name: str) -> None:
        """Prefer 'dark' or 'light', as the system would."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self._cdp("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, path: Path) -> None:
        """Write what is shown as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shot = self._driver.ask("GET", f"{self._path}/screenshot")
        path.write_bytes(base64.b64decode(shot))

    def errors(self) -> list[str]:
        """Return what the page logged as an error since the last time.

        A request that was refused in words is none: the page shows them.
        """
        found = self._post("/se/log", {"type": "browser"})
        said = [each["message"] for each in found if each["level"] == "SEVERE"]
        return [each for each in said if not re.search("status of (400|409)", each)]

    def close(self) -> None:
        """End the browser."""
        self._driver.ask("DELETE", self._path)

    def _find(self, selector: str) -> str:
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        using = {"using": "css selector", "value": selector}
        return cast("str", self._post("/element", using)[_ELEMENT])

    def _cdp(self, command: str, parameters: dict[str, Any]) -> None:
        self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _post(self, path: str, fields: dict[str, Any]) -> Any:
        return self._driver.ask("POST", self._path + path, fields)
