"""The pytest plugin: `@chaos` tests fail with their story; `--chaos-seeds N` searches longer.

Owns: the option, and how a broken promise is shown: the story alone, because a stack of the
lab's own functions tells nobody anything. May not know: how a test is run. Without the plugin
`@chaos` works as well, with the number of seeds that each test names.
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
        metavar="N",
        help="run every @chaos test under N seeds, whatever it says itself",
    )


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a `@chaos` test under as many seeds as the option says, or else the test."""
    test = getattr(pyfuncitem.obj, _ATTRIBUTE, None)
    if test is None:
        return None
    seeds = pyfuncitem.config.getoption("--chaos-seeds")
    if seeds is not None and seeds < 1:
        raise pytest.UsageError(f"--chaos-seeds {seeds}: at least 1 is needed")
    from comity.base.errors import UsageError  # noqa: PLC0415  (pytest starts without the lab)
    from comity_chaos.testing import Broken  # noqa: PLC0415  (pytest starts without the lab)

    story = ""
    try:
        test.run(seeds)
    except (Broken, UsageError) as error:
        story = str(error)
    if story:  # outside of the handler, or pytest shows the hidden error before it as well
        pytest.fail(story, pytrace=False)
    return True
