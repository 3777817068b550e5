"""The objectives: pure functions of logits, labels and pi.

Labels are one number per region: `POSITIVE`, `NEGATIVE` (a person said so) or `UNLABELED`.
L is the logistic loss, g = sigmoid(logit), P the positive, U the unlabelled regions.

pi, here and everywhere, is the fraction of positive regions *in the unlabelled pool*. A region is a
pixel of the downsampled micrograph, and a particle makes every pixel within the label radius
positive: 29 pixels at radius 3. With n particles expected per micrograph of A pixels, l of them
labelled, discs of d pixels: pi = (n - l) * d / (A - l * d). `heliodor.training.labels.prior` computes
it, over all labelled micrographs, with a rim of one pixel around the disc: 49 pixels at radius 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

POSITIVE, UNLABELED, NEGATIVE = 1, 0, -1


@dataclass(frozen=True)
class Loss:
    """A loss to minimize, and what it is made of.

    Attributes
    ----------
    total : scalar Tensor
    labeled : scalar Tensor
        The part due to labelled regions.
    unlabeled : scalar Tensor
        The part due to unlabelled regions: risk or penalty, before its weight.
    """

    total: Tensor
    labeled: Tensor
    unlabeled: Tensor


def _mean(values: Tensor) -> Tensor:
    # A minibatch without a kind of region has no loss for it, rather than NaN.
    return values.mean() if values.numel() else values.sum()


def _labeled_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """E_P[L(g, 1)]; with labelled negatives (N), E_P[L(g, 1)] + E_N[L(g, 0)].

    One mean over both would take weight from the positives: with it, negatives taught junk worse than none did
    (dev/LOG.md).
    """
    return _mean(F.softplus(-logits[labels == POSITIVE])) + _mean(F.softplus(logits[labels == NEGATIVE]))


def pn(logits: Tensor, labels: Tensor, pi: float, slack: float = 1.0) -> Loss:
    """Unlabelled regions are negatives: pi E_P[L(g, 1)] + (1 - pi) E_U[L(g, 0)].

    Parameters
    ----------
    logits : (N,) Tensor
        Log-odds of the regions.
    labels : (N,) integer Tensor
        `POSITIVE`, `UNLABELED` or `NEGATIVE`.
    pi : float
        Fraction of positives among the unlabelled.
    slack : float
        Weight of the penalty, which this objective has not.
    """
    positive = _mean(F.softplus(-logits[labels == POSITIVE]))
    negative = _mean(F.softplus(logits[labels != POSITIVE]))
    return Loss(pi * positive + (1 - pi) * negative, positive, negative)


def pu(logits: Tensor, labels: Tensor, pi: float, pi_of_all: float | None = None) -> Loss:
    """Non-negative PU risk (Kiryo et al. 2017): pi E_P[L(g, 1)] + max(0, E_U[L(g, 0)] - pi E_P[L(g, 0)]).

    Labelled negatives, where given, join the first term.

    Parameters
    ----------
    logits, labels, pi
        As in `pn`.
    pi_of_all : float, optional
        Fraction of positives among all regions, the labelled ones included: the risk over all of them is returned,
        in which the first term weighs pi_of_all, and the second (1 - pi_of_all) / (1 - pi), the share of those that
        are not labelled. Default: the risk over the unlabelled ones, as above.
    """
    labeled = _labeled_loss(logits, labels)
    risk = _mean(F.softplus(logits[labels == UNLABELED])) - pi * _mean(F.softplus(logits[labels == POSITIVE]))
    risk = risk.clamp(min=0)
    if pi_of_all is None:
        return Loss(pi * labeled + risk, labeled, risk)
    return Loss(pi_of_all * labeled + (1 - pi_of_all) / (1 - pi) * risk, labeled, risk)


def ge_kl(logits: Tensor, labels: Tensor, pi: float, slack: float = 10.0) -> Loss:
    """E_P[L(g, 1)] + slack * KL(pi || E_U[g]) (paper, generalized expectation). Parameters as in `pn`."""
    labeled = _labeled_loss(logits, labels)
    unlabeled = logits[labels == UNLABELED]
    if not unlabeled.numel():
        return Loss(labeled, labeled, unlabeled.sum())
    mean = torch.sigmoid(unlabeled).mean()
    # log(1 - mean) from the mean of sigmoid(-x): no cancellation where the mean is near 1.
    rest = torch.sigmoid(-unlabeled).mean()
    tiny = torch.finfo(mean.dtype).tiny
    entropy = _entropy(pi)
    divergence = -pi * mean.clamp(min=tiny).log() - (1 - pi) * rest.clamp(min=tiny).log() - entropy
    return Loss(labeled + slack * divergence, labeled, divergence)


def _entropy(pi: float) -> float:
    import math

    return -sum(p * math.log(p) for p in (pi, 1 - pi) if p > 0)


def ge_binomial(logits: Tensor, labels: Tensor, pi: float, slack: float = 1.0) -> Loss:
    """E_P[L(g, 1)] + slack * cross entropy of the numbers of positives (paper, GE-binomial).

    The number of positives among the N unlabelled regions is Binomial(N, pi) by the prior and
    Poisson-binomial by the classifier; the latter is approximated by a Gaussian with mean sum g and
    variance sum g (1 - g), discretized on 0..N. Parameters as in `pn`.

    The penalty takes the regions as independent. Regions that overlap are not, and their count
    spreads more than a binomial: see `heliodor.training.loop` for the weight given to tiles.
    """
    labeled = _labeled_loss(logits, labels)
    unlabeled = logits[labels == UNLABELED]
    if not unlabeled.numel():
        return Loss(labeled, labeled, unlabeled.sum())
    g = torch.sigmoid(unlabeled)
    mean = g.sum()
    variance = (g * torch.sigmoid(-unlabeled)).sum().clamp(min=1e-8)
    k = torch.arange(unlabeled.numel() + 1, device=g.device, dtype=g.dtype)
    q = torch.softmax(-((k - mean) ** 2) / (2 * variance), dim=0)
    penalty = -(q * binomial_log_pmf(k, pi)).sum()
    return Loss(labeled + slack * penalty, labeled, penalty)


def binomial_log_pmf(k: Tensor, pi: float) -> Tensor:
    """Log Binomial(k; N, pi) for k = 0..N, N = len(k) - 1."""
    count = k[-1]
    odds = torch.lgamma(count + 1) - torch.lgamma(k + 1) - torch.lgamma(count - k + 1)
    log_pi = torch.log(torch.tensor(pi, dtype=torch.float64)).to(k)
    log_rest = torch.log1p(-torch.tensor(pi, dtype=torch.float64)).to(k)
    return odds + k * log_pi + (count - k) * log_rest


OBJECTIVES: dict[str, Callable[..., Loss]] = {
    "PN": pn,
    "PU": pu,
    "GE-KL": ge_kl,
    "GE-binomial": ge_binomial,
}
# Weight of the penalty, where nobody gives one. The paper's 1 for GE-binomial holds the count of a minibatch twenty
# times as tightly as GE-KL's 10 holds its mean. In runs of hundreds of minibatches, not ten thousands, labels are then
# hardly heard: where noise is strong, 0.1 is better by 0.06 to 0.26 of average precision (docs/objectives.md).
DEFAULT_SLACK = {"PN": 0.0, "PU": 0.0, "GE-KL": 10.0, "GE-binomial": 0.1}
# From pretrained weights labels need little to be heard, and the paper's weight keeps what no label says from looking
# like particles (dev/LOG.md).
SLACK_FROM_START = {**DEFAULT_SLACK, "GE-binomial": 1.0}


def check_pi(pi: float) -> float:
    """Return `pi` if it can be a fraction of positives.

    Raises
    ------
    SettingsError
        pi is not inside (0, 1).
    """
    if not 0 < pi < 1:
        raise SettingsError(
            f"pi, the fraction of positive pixels, must be between 0 and 1. Got {pi:g} instead: "
            "give --expected-particles, the number per micrograph, if that is what you know"
        )
    return pi
