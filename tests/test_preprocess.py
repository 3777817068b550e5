from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor.errors import SettingsError
from heliodor.preprocess import downsample, fit_joint_mixture, fit_mixture, histogram, normalize


@given(st.integers(40, 90), st.integers(40, 90), st.floats(1.0, 2.4))
@settings(max_examples=30, deadline=None)
def test_pruned_transform_equals_the_plain_crop_and_keeps_the_mean(rows, columns, factor):
    image = np.random.default_rng(rows * columns).normal(3, 1, (rows, columns)).astype(np.float32)
    small, achieved = downsample(image, factor)
    m, n = int(rows / factor), int(columns / factor)
    assert small.shape == (m, n)
    assert achieved == (rows / m, columns / n)
    assert small.mean() == pytest.approx(image.mean(), abs=1e-4)
    spectrum = scipy.fft.fft2(image.astype(np.float64))
    ky, kx = (np.abs(np.rint(scipy.fft.fftfreq(k) * k)) for k in (rows, columns))
    if m < rows and n < columns:
        spectrum[2 * ky >= m] = 0
        spectrum[:, 2 * kx >= n] = 0
        y, x = np.arange(m) * rows / m, np.arange(n) * columns / n
        wave_y = np.exp(2j * np.pi * np.outer(y, scipy.fft.fftfreq(rows)))
        wave_x = np.exp(2j * np.pi * np.outer(scipy.fft.fftfreq(columns), x))
        slow = (wave_y @ spectrum @ wave_x).real / image.size
        np.testing.assert_allclose(small, slow, atol=1e-4)


@pytest.mark.parametrize("factor", [0.5, float("nan"), 100])
def test_factors_that_cannot_be(factor):
    with pytest.raises(SettingsError):
        downsample(np.zeros((64, 64), np.float32), factor)


def mixture(rng, count=200_000, share=0.8):
    bright = rng.random(count) < share
    return np.where(bright, rng.normal(100, 5, count), rng.normal(70, 5, count)).astype(np.float32)


def test_mixture_finds_the_components():
    fitted = fit_mixture(histogram(mixture(np.random.default_rng(0))), alpha=1)
    assert fitted.mean == pytest.approx(100, abs=0.1)
    assert fitted.sd == pytest.approx(5, abs=0.1)
    assert fitted.dark_mean == pytest.approx(70, abs=0.2)
    assert fitted.share == pytest.approx(0.8, abs=0.01)


def test_hot_pixels_do_not_move_the_fit_and_are_clipped():
    pixels = mixture(np.random.default_rng(0)).reshape(400, 500)
    hot = pixels.copy()
    hot.ravel()[::997] = 60000
    plain, _ = normalize(pixels)
    spoiled, _ = normalize(hot)
    kept = hot == pixels
    np.testing.assert_allclose(spoiled[kept], plain[kept], atol=2e-2)
    assert spoiled.max() == 10


def test_joint_mixture_finds_scales_and_components():
    rng = np.random.default_rng(1)
    scales = np.array([0.5, 1.0, 2.0])
    images = [mixture(rng, 100_000) * s for s in scales]
    fitted = fit_joint_mixture([histogram(i) for i in images])
    np.testing.assert_allclose(np.array(fitted.scales), scales, rtol=0.01)
    assert fitted.dominant[0] == pytest.approx(100, rel=0.01)
    assert fitted.dominant[1] == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("method", ["gmm", "affine"])
def test_normalized_background_is_standard(method):
    pixels = np.random.default_rng(0).normal(500, 20, (300, 300)).astype(np.float32)
    result, _ = normalize(pixels, method)
    assert result.mean() == pytest.approx(0, abs=0.05)
    assert result.std() == pytest.approx(1, abs=0.05)
