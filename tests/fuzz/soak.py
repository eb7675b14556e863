"""The long run of one target: `python -m tests.fuzz.soak TARGET INPUTS`.

Guided by coverage if atheris is installed (it is not a dependency: there are wheels for few
systems), else by `tests.fuzz.mutate`, which is said in capitals. Either way the process may
not grow beyond `MEMORY_MIB_MAX`, and an input that breaks the target is left in
`build/fuzz/TARGET-...`: run it again by naming the file in the place of the count.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import resource
import sys
import time
from pathlib import Path
from typing import Any, Final

__all__ = ["MEMORY_MIB_MAX", "main"]

MEMORY_MIB_MAX: Final = 512
"""Of a whole process with everything imported, some 150 of it before the first input."""

_KEPT: Final = Path("build") / "fuzz"


def main(name: str, count: str) -> None:
    """Run a target on so many inputs, or on the one in a file."""
    guide: Any = None
    if importlib.util.find_spec("atheris") is not None:
        guide = importlib.import_module("atheris")
    watched = (
        guide.instrument_imports(include=["comity", "comity_chaos"])
        if guide is not None
        else contextlib.nullcontext()
    )
    with watched:
        importlib.import_module("tests.fuzz.targets_outside")
        importlib.import_module("tests.fuzz.targets_between")
        importlib.import_module("tests.fuzz.targets_disk")
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    target = targets[name]
    if not count.isdigit():
        target.run(Path(count).read_bytes())
        return
    _KEPT.mkdir(parents=True, exist_ok=True)
    if guide is None:
        sys.stderr.write("ATHERIS IS NOT INSTALLED: inputs are NOT guided by coverage\n")
        _unguided(name, target, int(count))
        return
    corpus = _KEPT / f"{name}.corpus"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(target.corpus()):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-runs={count}", f"-rss_limit_mb={MEMORY_MIB_MAX}", "-max_len=8192"]
    kept = f"-artifact_prefix={_KEPT / name}-"
    guide.Setup(
        [name, *limits, kept, "-timeout=20", "-print_final_stats=1", str(corpus)],
        target.run,
    )
    guide.Fuzz()


def _unguided(name: str, target: Any, count: int) -> None:  # noqa: ANN401 - see `main`
    mutate = importlib.import_module("tests.fuzz.mutate")
    began = time.monotonic()
    for data in mutate.inputs(f"soak {name}", target.corpus(), count):
        try:
            target.run(data)
        except BaseException:
            (_KEPT / f"{name}-crash").write_bytes(data)
            raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert peak < MEMORY_MIB_MAX, f"{peak} MiB"
    sys.stdout.write(
        f"{name}: {count} inputs in {time.monotonic() - began:.0f} s, {peak} MiB\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
