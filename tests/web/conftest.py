"""What tests of pages need: a browser, nodes, and the apps of the examples.

Owns: those fixtures. May not know: any page. Where no browser is installed its tests are
skipped, and say what installs one.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from comity import Node
from comity.cli.demo.wires import Wires
from tests.web.browser import Browser, Driver, is_installed

OpenBrowser = Callable[[], Browser]
LoadExample = Callable[[str], ModuleType]
Shoot = Callable[[Browser, str], None]


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """Return what starts browsers, or skip."""
    if not is_installed():
        pytest.skip("NO BROWSER HERE: pages are NOT seen; scripts/browser installs one")
    with Driver() as driver:
        yield driver


@pytest.fixture
def browser(driver: Driver) -> Iterator[OpenBrowser]:
    """Return what opens a browser; each is closed in the end, and must have logged no error."""
    opened: list[Browser] = []

    def make() -> Browser:
        opened.append(driver.browser())
        return opened[-1]

    yield make
    for each in opened:
        each.close()


class Network:
    """Nodes of this process, and the wires between them, which can be cut."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Make a network without nodes."""
        self._folder = folder
        self._stack = stack
        self._wires = stack.enter_context(Wires())
        self._wires.register(os.getpid(), "here")

    def node(self, name: str) -> Node:
        """Open a node, in a store of its own."""
        listen = ("127.0.0.1:0", self._wires.add(name))
        node = Node(self._folder / name, insecure_store=True, listen=listen)
        self._stack.enter_context(node)
        assert node.address is not None
        self._wires.connect(name, node.address)
        return node

    def cut(self) -> None:
        """Cut every node off from all others."""
        self._wires.isolate("here")

    def heal(self) -> None:
        """Mend it; nodes notice when they dial next."""
        self._wires.restore("here")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """Return a network; all of its nodes are closed in the end."""
    with ExitStack() as stack:
        yield Network(tmp_path, stack)


@pytest.fixture
def example(project: Path) -> Iterator[LoadExample]:
    """Import an app of the examples by name."""
    names: list[str] = []

    def load(name: str) -> ModuleType:
        path = project / "examples" / name / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"example_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        names.append(spec.name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in names:
        del sys.modules[name]


@pytest.fixture
def shoot(project: Path) -> Shoot:
    """Take pictures of a page at both widths and in both schemes, and see that it fits.

    They are kept in `build/screenshots` if COMITY_SCREENSHOTS is set, for a person to look at.
    """

    def take(browser: Browser, name: str) -> None:
        for width in (1280, 400):
            for scheme in ("light", "dark"):
                browser.size(width)
                browser.scheme(scheme)
                wide = browser.look("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} pixels wide at {width}"
                if os.environ.get("COMITY_SCREENSHOTS"):
                    file = project / "build/screenshots" / f"{name}-{width}-{scheme}.png"
                    browser.screenshot(file)
        browser.size(1280)

    return take
