"""How good picks are, against labels."""

from heliodor.evaluation.curves import Curve, average_precision, precision_recall
from heliodor.evaluation.matching import Matching, match
from heliodor.evaluation.report import Agreement, Evaluation, Scores, agreement, evaluate

__all__ = [
    "Agreement",
    "Curve",
    "Evaluation",
    "Matching",
    "Scores",
    "agreement",
    "average_precision",
    "evaluate",
    "match",
    "precision_recall",
]
