"""The pytest plugin: `--chaos-seeds N` runs every `@chaos` test under N seeds.

Owns: the option. May not know: how a test is run. Without the plugin `@chaos` works as well,
with the number of seeds that each test names.
Source: API 'Testing, the same classes'.
"""

from __future__ import annotations

import pytest

__all__ = ["pytest_addoption", "pytest_pyfunc_call"]

_ATTRIBUTE = "comity_chaos_test"
"""As in `comity_chaos.testing`, which is not imported before a test needs it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("comity").addoption(
        "--chaos-seeds",
        type=int,
        default=None,
        help="run every @chaos test under so many seeds, whatever it says itself",
    )


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a `@chaos` test under as many seeds as the option says."""
    seeds = pyfuncitem.config.getoption("--chaos-seeds")
    test = getattr(pyfuncitem.obj, _ATTRIBUTE, None)
    if seeds is None or test is None:
        return None
    test.run(seeds)
    return True
