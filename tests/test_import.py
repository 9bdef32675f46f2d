"""Importing the package changes neither the environment nor the disk, and `import emofuse` loads nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROBE = """
import importlib, json, os, pkgutil, random, sys, threading, warnings
if {everything}:
    import cv2, torch._dynamo  # set LD_LIBRARY_PATH and TORCHINDUCTOR_CACHE_DIR for themselves
before = dict(os.environ), list(warnings.filters), random.getstate(), threading.active_count()
import emofuse
light = sorted(name for name in sys.modules if name.partition(".")[0] in {heavy})
if {everything}:
    for module in pkgutil.walk_packages(emofuse.__path__, "emofuse."):
        if module.name != "emofuse.__main__":
            importlib.import_module(module.name)
own = [f for f in warnings.filters if f not in before[1]]
print(json.dumps({{
    "heavy": light,
    "environment": sorted(k for k in before[0].keys() | os.environ.keys() if before[0].get(k) != os.environ.get(k)),
    "random": random.getstate() == before[2],
    "filters": [str(f[1].pattern if f[1] else f[2].__name__) for f in own],
    "threads": threading.active_count() - before[3],
}}))
"""
HEAVY = {"torch", "transformers", "numpy", "cv2", "av", "pandas", "matplotlib", "pydantic", "rich", "typer", "timm"}


def probe(home: Path, everything: bool) -> dict:
    """What changes in a fresh process whose home and working folder are `home`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_", "PYTEST", "MPL"))}
    environment |= {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    code = PROBE.format(heavy=HEAVY, everything=everything)
    done = subprocess.run([sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_importing_the_package_is_quick_and_leaves_no_trace(tmp_path: Path):
    changed = probe(tmp_path, everything=False)
    assert changed == {"heavy": [], "environment": [], "random": True, "filters": [], "threads": 0}
    assert not list(tmp_path.iterdir())


def test_importing_every_module_leaves_no_trace(tmp_path: Path):
    changed = probe(tmp_path, everything=True)
    assert changed["environment"] == [] and changed["threads"] == 0
    assert not list(tmp_path.rglob("*"))
