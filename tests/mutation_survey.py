"""How many wrong lines do the tests see?  A sample, each run against the tests that touch it.

    python tests/mutation_survey.py FOLDER --size 150 --minutes 25

By hand and never in CI.  The first call runs the tests once, to see which of them run which
functions (`mutation_touch.py`); then each mutant of the sample (`mutation_sample.py`) is a fork in
which the quickest of those tests run, until one fails.  FOLDER keeps both, so that a run that was
stopped goes on; a mutant is judged anew where its module, or the seconds of tests that it is given,
have changed.

The share that a test noticed is printed for each package and in all, then what none did.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from mutation import OPTIONS, OTHERS
from mutation_sample import HERE, Mutant, sample

# Of these the tests take long, or run other processes, in which no line is spoilt.
LEFT_OUT = (
    "test_mutation", "test_packaging", "test_new_plugin", "test_docs", "test_readme",
    "test_benchmark", "test_promises",
)  # fmt: skip
MOST_SECONDS = 20.0  # of a test that is run
AT_START = 15.0  # seconds that a fork may take before its first test
KILLED, SURVIVED, TIMED_OUT, UNTOUCHED = "killed", "survived", "timed out", "untouched"
NOTICED = (KILLED, TIMED_OUT)


@dataclass(frozen=True)
class Test:
    """A test that passes, and what it runs."""

    name: str
    seconds: float
    functions: frozenset[str]


def touched(folder: Path, seconds: float) -> list[Test]:
    """The map of tests, file after file; each file of tests is run once, for so long at most."""
    maps = folder / "touched"
    maps.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted((HERE / "tests").glob("test_*.py")):
        if path.stem in LEFT_OUT:
            continue
        own = maps / f"{path.stem}.jsonl"
        done = maps / f"{path.stem}.done"
        if not done.exists():
            own.unlink(missing_ok=True)
            command = [
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                "-p", "mutation_touch", "--touched", str(own), str(path),
            ]  # fmt: skip
            plain = _environment()
            plain["PYTHONPATH"] = os.pathsep.join([str(path.parent), plain.get("PYTHONPATH", "")])
            print(f"map: {path.stem}", flush=True)
            with (maps / f"{path.stem}.log").open("w") as log:
                child = subprocess.Popen(
                    command, cwd=HERE, env=plain, stdout=log, stderr=log, start_new_session=True
                )
                try:
                    child.wait(seconds)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
            done.touch()
        lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
        for line in lines:
            one = json.loads(line)
            found.append(Test(one["test"], one["seconds"], frozenset(one["functions"])))
    return found


def chosen(one: Mutant, tests: Iterable[Test], seconds: float) -> list[Test]:
    """The quickest tests that run a mutant's function, or its module where it is in none."""
    here = f"{one.module}:{one.scope}" if one.scope else ""
    module = f"{one.module}:"
    mine = [
        test
        for test in tests
        if test.seconds <= MOST_SECONDS
        and (
            here in test.functions
            if here
            else any(function.startswith(module) for function in test.functions)
        )
    ]
    mine.sort(key=lambda test: (test.seconds, test.name))
    within, spent = [], 0.0
    for test in mine:
        spent += test.seconds
        if spent > seconds and within:
            break
        within.append(test)
    return within


class _Spoilt(SourceFileLoader):
    mutant: Mutant

    def get_code(self, fullname: str) -> CodeType:  # past the cache of compiled files
        path = self.get_filename(fullname)
        source = self.get_data(path).decode("utf-8")
        return compile(self.mutant.spoil(source), path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self.mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        loader = _Spoilt(fullname, spec.origin)
        loader.mutant = self.mutant
        spec.loader = loader
        return spec


def judged(one: Mutant, tests: list[Test], log: Path) -> str:
    """What the tests say of a mutant, run in a fork."""
    if not tests:
        return UNTOUCHED
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setsid()
            with log.open("w", encoding="utf-8") as file:
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
            sys.meta_path.insert(0, _Finder(one))
            names = [str(HERE / test.name) for test in tests]
            status = int(pytest.main([*OPTIONS, *names]))
        finally:
            sys.stdout.flush()
            os._exit(status)
    end = time.monotonic() + AT_START + 3.0 * sum(test.seconds for test in tests)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return SURVIVED if os.waitstatus_to_exitcode(status) == 0 else KILLED
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return TIMED_OUT


def survey(
    folder: Path, mutants: list[Mutant], tests: list[Test], minutes: float, seconds: float
) -> None:
    """Judge the mutants that have no verdict yet, and print the shares."""
    end = time.monotonic() + 60.0 * minutes
    verdicts = folder / "verdicts.jsonl"
    known = {}
    if verdicts.exists():
        for line in verdicts.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            known[told["key"], told["source"], told["given"]] = told["verdict"]
    for module in OTHERS:
        import_module(module)
    ours = [name for name in sys.modules if name.partition(".")[0].startswith("emframe")]
    assert not ours, f"imported before any line is spoilt: {ours}"
    found: list[tuple[Mutant, str]] = []
    for one in mutants:
        source = (HERE / one.path).read_bytes()
        key = (one.key, hashlib.sha256(source).hexdigest()[:16], seconds)
        if key not in known:
            if time.monotonic() > end:
                continue
            mine, begun = chosen(one, tests, seconds), time.monotonic()
            known[key] = judged(one, mine, folder / "last.log")
            line = dict(zip(("key", "source", "given"), key, strict=True)) | {
                "verdict": known[key],
                "tests": len(mine),
                "seconds": round(time.monotonic() - begun, 2),
            }
            with verdicts.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        found.append((one, known[key]))
    report(found, len(mutants))


def report(found: list[tuple[Mutant, str]], size: int) -> None:
    """The share that was noticed, by package and in all, and what was not."""
    for one, verdict in found:
        if verdict not in NOTICED:
            source = (HERE / one.path).read_text(encoding="utf-8")
            print(f"\n{verdict}: {one.path}:{one.line} {one.scope} ({one.kind})")
            print(f"    {one.shown(source)}")
    print()
    for package in sorted({one.package for one, _ in found}):
        own = [verdict for one, verdict in found if one.package == package]
        print(f"{package:24} {_share(own)}")
    verdicts = [verdict for _, verdict in found]
    print(f"{'in all':24} {_share(verdicts)}   ({len(found)} of {size} judged)")


def _share(verdicts: list[str]) -> str:
    killed = sum(verdict in NOTICED for verdict in verdicts)
    each = ", ".join(
        f"{verdicts.count(word)} {word}"
        for word in (SURVIVED, TIMED_OUT, UNTOUCHED)
        if word in verdicts
    )
    return f"{killed:4} of {len(verdicts):4}, {killed / max(1, len(verdicts)):6.1%}   {each}"


def _environment() -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    return plain | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def main() -> None:
    """Read the arguments, and run."""
    ask = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ask.add_argument("folder", type=Path, help="what is kept between calls")
    ask.add_argument("--size", type=int, default=150, help="mutants in the sample")
    ask.add_argument("--seed", type=int, default=0, help="another seed takes another sample")
    ask.add_argument("--only", nargs="+", default=[""], help="modules whose names begin so")
    ask.add_argument("--minutes", type=float, default=60.0, help="after which no mutant begins")
    ask.add_argument("--seconds", type=float, default=20.0, help="of tests for each mutant")
    ask.add_argument("--map", type=float, default=120.0, help="seconds for each file of tests")
    asked = ask.parse_args()
    os.environ |= _environment()
    tests = touched(asked.folder, asked.map)
    mutants = sample(asked.size, asked.seed, tuple(asked.only))
    survey(asked.folder, mutants, tests, asked.minutes, asked.seconds)


if __name__ == "__main__":
    main()
