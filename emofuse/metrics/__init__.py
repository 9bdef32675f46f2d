"""Metrics as pure functions of arrays, in float64, each with a defined answer where it is undefined."""

from emofuse.metrics.classification import (
    PerClass,
    accuracy,
    auroc,
    confusion_matrix,
    macro_f1,
    mean_where_defined,
    per_class,
    uar,
    weighted_f1,
)
from emofuse.metrics.confidence import ReliabilityCurve, brier, ece, ece_by_chance, nll, reliability_curve
from emofuse.metrics.intervals import Comparison, Interval, bootstrap, compare_paired, mcnemar
from emofuse.metrics.multilabel import (
    multilabel_auroc,
    multilabel_f1,
    multilabel_f1_per_class,
    tune_thresholds,
)
from emofuse.metrics.regression import ccc, mae, pearson, rmse, sentiment_scores, sims_scores
from emofuse.metrics.task import (
    classification_report,
    multilabel_report,
    regression_report,
    task_report,
)
from emofuse.metrics.undefined import MetricWarning

__all__ = [
    "Comparison",
    "Interval",
    "MetricWarning",
    "PerClass",
    "ReliabilityCurve",
    "accuracy",
    "auroc",
    "bootstrap",
    "brier",
    "ccc",
    "classification_report",
    "compare_paired",
    "confusion_matrix",
    "ece",
    "ece_by_chance",
    "macro_f1",
    "mae",
    "mcnemar",
    "mean_where_defined",
    "multilabel_auroc",
    "multilabel_f1",
    "multilabel_f1_per_class",
    "multilabel_report",
    "nll",
    "pearson",
    "per_class",
    "regression_report",
    "reliability_curve",
    "rmse",
    "sentiment_scores",
    "sims_scores",
    "task_report",
    "tune_thresholds",
    "uar",
    "weighted_f1",
]
