from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from heliodor.training.objectives import ge_binomial, ge_kl, pn, pu

logits = st.lists(st.floats(-8, 8), min_size=1, max_size=30)
pis = st.floats(0.001, 0.9)


def reference(name, positive, unlabeled, pi, weight):
    """Float64, one region at a time, straight from the definitions."""

    def loss(x, y):
        return math.log1p(math.exp(-x if y else x))

    def mean(values):
        return sum(values) / len(values)

    g = [1 / (1 + math.exp(-x)) for x in unlabeled]
    r_p = mean([loss(x, 1) for x in positive])
    if name == "PN":
        return pi * r_p + (1 - pi) * mean([loss(x, 0) for x in unlabeled])
    if name == "PU":
        rest = mean([loss(x, 0) for x in unlabeled]) - pi * mean([loss(x, 0) for x in positive])
        return weight * r_p + (1 - weight) / (1 - pi) * max(0.0, rest)
    if name == "GE-KL":
        m = mean(g)
        return r_p + weight * (pi * math.log(pi / m) + (1 - pi) * math.log((1 - pi) / (1 - m)))
    n, mu, var = len(g), sum(g), sum(p * (1 - p) for p in g)
    k = np.arange(n + 1)
    q = np.exp(-((k - mu) ** 2) / (2 * var) + min((j - mu) ** 2 for j in k) / (2 * var))
    return r_p - weight * float((q / q.sum() * binom.logpmf(k, n, pi)).sum())


@pytest.mark.parametrize(
    ("name", "objective"), [("PN", pn), ("PU", pu), ("GE-KL", ge_kl), ("GE-binomial", ge_binomial)]
)
@given(positive=logits, unlabeled=logits, pi=pis)
@settings(max_examples=40, deadline=None)
def test_objectives_equal_the_float64_reference(name, objective, positive, unlabeled, pi):
    values = torch.tensor(positive + unlabeled, dtype=torch.float64)
    marks = torch.tensor([1] * len(positive) + [0] * len(unlabeled))
    got = float(objective(values, marks, pi, 3.0).total)
    assert got == pytest.approx(reference(name, positive, unlabeled, pi, 3.0), rel=1e-6, abs=1e-8)
    usual = {"GE-KL": 10.0, "GE-binomial": 1.0}.get(name, pi)  # of the paper
    got = float(objective(values, marks, pi).total)
    assert got == pytest.approx(reference(name, positive, unlabeled, pi, usual), rel=1e-6, abs=1e-8)


def test_ge_binomial_is_near_the_exact_poisson_binomial():
    g = np.random.default_rng(0).uniform(0.2, 0.8, 14)
    exact = np.array([1.0])
    for p in g:
        exact = np.convolve(exact, [1 - p, p])
    cross_entropy = -(exact * binom.logpmf(np.arange(15), 14, 0.5)).sum()
    x = torch.from_numpy(np.log(g / (1 - g)))
    penalty = float(ge_binomial(x, torch.zeros(14, dtype=torch.int64), 0.5).unlabeled)
    assert penalty == pytest.approx(cross_entropy, rel=0.02)


def test_labelled_negatives_join_the_labelled_loss():
    x = torch.tensor([2.0, -1.0, 0.5, 3.0])
    with_negative = ge_binomial(x, torch.tensor([1, -1, 0, 1]), 0.1)
    # A mean of each kind, so that many negatives take no weight from few positives.
    expected = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-3.0))) / 2 + math.log1p(math.exp(-1.0))
    assert float(with_negative.labeled) == pytest.approx(expected)


@pytest.mark.parametrize("objective", [pn, pu, ge_kl, ge_binomial])
def test_gradients_are_finite_at_extreme_scores(objective):
    x = torch.tensor([80.0, -80.0, 80.0, -80.0], requires_grad=True)
    objective(x, torch.tensor([1, 1, 0, 0]), 0.05).total.backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("objective", [pu, ge_kl, ge_binomial])
def test_a_minibatch_without_positives_has_a_finite_loss(objective):
    assert torch.isfinite(objective(torch.randn(9), torch.zeros(9, dtype=torch.int64), 0.05).total)
