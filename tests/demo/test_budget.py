"""A visitor's budget of media-seconds."""

from __future__ import annotations

import time

import pytest

from emofuse.demo.budget import WINDOW, Budgets


def test_work_is_counted_for_each_visitor_and_forgotten_after_an_hour(monkeypatch):
    budgets = Budgets(100.0)
    budgets.spend("a", 70.0)
    budgets.spend("a", 40.0)
    assert budgets.left("a") == pytest.approx(-10.0) and budgets.left("b") == 100.0
    later = time.monotonic() + WINDOW + 1
    monkeypatch.setattr("emofuse.demo.budget.time.monotonic", lambda: later)
    assert budgets.left("a") == 100.0
