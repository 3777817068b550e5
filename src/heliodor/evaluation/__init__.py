"""How good picks are, against labels."""

from heliodor.evaluation.curves import Curve, average_precision, precision_recall
from heliodor.evaluation.matching import Matching, match
from heliodor.evaluation.report import Agreement, Evaluation, Scores, agreement, evaluate
from heliodor.evaluation.topaz import TopazCurve, topaz_curve

__all__ = [
    "Agreement",
    "Curve",
    "Evaluation",
    "Matching",
    "Scores",
    "TopazCurve",
    "agreement",
    "average_precision",
    "evaluate",
    "match",
    "precision_recall",
    "topaz_curve",
]
