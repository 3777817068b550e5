"""Distributions of scores, against their definition and against draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm, skew

from heliodor.picking.distribution import LogGamma, Normal, distribution
from mixture_helpers import skewed

PLACES = np.linspace(-6, 4, 2001)


def density_of(chosen):
    logarithm = chosen.log_density(PLACES)
    density = np.exp(logarithm - logarithm.max())
    return density / density.sum()


@pytest.mark.parametrize("skewness", [0.0, 0.05, 0.3, 1.0])
def test_mean_0_and_deviation_1(skewness):
    density = density_of(distribution(skewness))
    assert (density * PLACES).sum() == pytest.approx(0, abs=0.02)
    assert (density * PLACES**2).sum() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("skewness", [0.0, 0.05, 0.3, 1.0])
def test_the_share_below_is_the_integral_of_the_density(skewness):
    chosen = distribution(skewness)
    assert chosen.below(PLACES) == pytest.approx(np.cumsum(density_of(chosen)), abs=0.01)


@given(st.floats(0.02, 1.0), st.floats(0.001, 0.999))
def test_quantiles_are_the_inverse(skewness, share):
    for chosen in (Normal(), LogGamma(skewness)):
        assert chosen.below(chosen.quantiles(share)) == pytest.approx(share, rel=1e-6)


def test_draws():
    draws = skewed(np.random.default_rng(0), 0.0, 1.0, 20_000, 0.5)
    assert kstest(draws, LogGamma(0.5).below).pvalue > 0.01
    assert skew(draws) == pytest.approx(-0.5, abs=0.1)


def test_without_skewness_it_is_normal():
    assert isinstance(distribution(0.0), Normal)
    assert Normal().below(PLACES) == pytest.approx(norm.cdf(PLACES))
    assert LogGamma(0.001).below(PLACES) == pytest.approx(norm.cdf(PLACES), abs=1e-3)


def test_far_places_overflow_nothing():
    with np.errstate(all="raise", under="ignore"):
        assert LogGamma(1.0).below([-1e3, 1e3]) == pytest.approx([0, 1])
        assert np.isfinite(LogGamma(1.0).log_density([-1e3, 1e3])).all()
