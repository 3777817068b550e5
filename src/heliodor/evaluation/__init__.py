"""How good picks are, against labels."""

from heliodor.evaluation.curves import Curve, average_precision, precision_recall
from heliodor.evaluation.matching import Matching, match

__all__ = ["Curve", "Matching", "average_precision", "match", "precision_recall"]
