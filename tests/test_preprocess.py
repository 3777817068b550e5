from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor.errors import MicrographError, SettingsError
from heliodor.micrographs import Micrograph
from heliodor.preprocess import (
    JointMixture,
    credible,
    downsample,
    fit_joint_mixture,
    fit_mixture,
    fit_scale,
    histogram,
    normalize,
    preprocess,
)


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


@pytest.mark.parametrize("factor", [0.5, float("nan")])
def test_factors_that_cannot_be(factor):
    with pytest.raises(SettingsError):
        downsample(np.zeros((64, 64), np.float32), factor)


@pytest.mark.parametrize(("shape", "factor"), [((1101, 1200), 2), ((96, 66), 3), ((80, 75), 2.5)])
def test_blocks_of_rows_and_columns_change_nothing(shape, factor):
    image = np.random.default_rng(0).normal(50, 4, shape).astype(np.float32)
    (rows, columns), m, n = shape, int(shape[0] / factor), int(shape[1] / factor)
    spectrum = np.fft.rfft2(image.astype(np.float64))
    cut = np.zeros((m, n // 2 + 1), complex)
    cut[: (m + 1) // 2] = spectrum[: (m + 1) // 2, : n // 2 + 1]
    cut[m - (m - 1) // 2 :] = spectrum[rows - (m - 1) // 2 :, : n // 2 + 1]
    if n % 2 == 0:
        cut[:, -1] = 0
    plain = np.fft.irfft2(cut, (m, n)) * (m * n / (rows * columns))
    small, _ = downsample(image, factor)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, plain, atol=2e-4)


def test_a_wave_below_the_new_nyquist_is_kept_in_place_and_one_above_it_is_removed():
    y, x = np.mgrid[:96, :120]
    low, high = np.cos(2 * np.pi * (5 * x / 120 + 3 * y / 96)), np.cos(2 * np.pi * 50 * x / 120)
    small, (fy, fx) = downsample((low + high).astype(np.float32), 3)
    y, x = np.mgrid[:32, :40]
    np.testing.assert_allclose(small, np.cos(2 * np.pi * (5 * x * fx / 120 + 3 * y * fy / 96)), atol=1e-5)


def test_factor_one_is_a_copy():
    image = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    small, achieved = downsample(image, 1)
    np.testing.assert_array_equal(small, image)
    assert not np.shares_memory(small, image)
    assert achieved == (1, 1)


def test_errors_of_downsample_name_the_setting():
    with pytest.raises(SettingsError, match=r"'factor' parameter of downsample must be 1 or more. Got 0.5 instead"):
        downsample(np.zeros((64, 64), np.float32), 0.5)
    with pytest.raises(MicrographError, match="64 x 90 pixels by 5 leaves 12 x 18; use a smaller factor"):
        downsample(np.zeros((64, 90), np.float32), 5)


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


def log_posterior(x, mean, dark, sd, share, alpha):
    def normal(m):
        return np.exp(-0.5 * ((x - m) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))

    return np.log(share * normal(mean) + (1 - share) * normal(dark)).sum() + (alpha - 1) * np.log(share)


def slow_mixture(x, alpha):
    """The same mixture, pixel by pixel, by plain expectation-maximization from one good start."""
    mean, dark, sd, share = np.quantile(x, 0.9), np.quantile(x, 0.05), x.std(), 0.8
    for _ in range(500):
        up = share * np.exp(-0.5 * ((x - mean) / sd) ** 2)
        down = (1 - share) * np.exp(-0.5 * ((x - dark) / sd) ** 2)
        r = up / (up + down)
        share = (r.sum() + alpha - 1) / (len(x) + alpha - 1)
        mean, dark = (r * x).sum() / r.sum(), ((1 - r) * x).sum() / (1 - r).sum()
        sd = np.sqrt((r * (x - mean) ** 2 + (1 - r) * (x - dark) ** 2).mean())
    return mean, dark, sd, share


@pytest.mark.parametrize("alpha", [1.0, 900.0, 20_000.0])
def test_the_histogram_fit_equals_the_fit_to_pixels(alpha):
    x = mixture(np.random.default_rng(2), 20_000).astype(np.float64)
    slow = slow_mixture(x, alpha)
    fitted = fit_mixture(histogram(x), alpha=alpha, iterations=500, tolerance=1e-9)
    np.testing.assert_allclose((fitted.mean, fitted.sd), (slow[0], slow[2]), rtol=0, atol=1e-3 * slow[2])
    np.testing.assert_allclose((fitted.dark_mean, fitted.share), (slow[1], slow[3]), rtol=2e-3)
    assert fitted.log_posterior == pytest.approx(log_posterior(x, *slow, alpha), rel=1e-4)


@pytest.mark.parametrize(("apart", "share"), [(2.0, 0.9), (4.0, 0.7), (12.0, 0.6), (12.0, 0.95)])
def test_the_histogram_is_fine_enough_for_components_far_apart(apart, share):
    rng = np.random.default_rng(int(10 * apart))
    bright = rng.random(40_000) < share
    x = rng.normal(size=bright.size) + apart * bright + 1000  # a large offset costs no digits
    mean, _, sd, _ = slow_mixture(x, 900.0)
    fitted = fit_mixture(histogram(x), iterations=500, tolerance=1e-9)
    np.testing.assert_allclose((fitted.mean, fitted.sd), (mean, sd), rtol=0, atol=1e-3 * sd)


def test_the_prior_draws_the_share_to_one():
    h = histogram(mixture(np.random.default_rng(2), 20_000))
    shares = [fit_mixture(h, alpha=alpha).share for alpha in (1, 900, 20_000)]
    assert shares == sorted(shares)
    assert shares[2] > shares[0] + 0.05


def test_one_gaussian_is_found_to_be_one():
    fitted = fit_mixture(histogram(np.random.default_rng(3).normal(40, 3, 50_000)))
    assert fitted.share > 0.98
    assert (fitted.mean, fitted.sd) == (pytest.approx(40, abs=0.1), pytest.approx(3, abs=0.05))
    assert fit_mixture(histogram(np.random.default_rng(3).normal(40, 3, 50_000)), beta=50).share < 1


@pytest.mark.parametrize("setting", [{"alpha": 0.5}, {"beta": 0}, {"iterations": 0}])
def test_settings_of_the_fit_that_cannot_be(setting):
    name = next(iter(setting))
    with pytest.raises(SettingsError, match=f"'{name}' parameter of fit_mixture must be 1 or more"):
        fit_mixture(histogram(np.arange(100.0)), **setting)


def test_a_histogram_holds_every_pixel_but_the_outliers_even_under_a_mask():
    x = np.random.default_rng(0).normal(10, 1, 10_000).astype(np.float32)
    h = histogram(np.append(x, [1e6, -1e6]))
    assert h.counts.sum() == len(x)
    assert np.average(h.values, weights=h.counts) == pytest.approx(x.mean(), abs=1e-3)
    masked = histogram(np.append(np.zeros(90_000, np.float32), x))
    assert masked.counts.sum() == 100_000
    assert len(masked.counts) > 100


def joint_density(x, images, joint):
    scales = np.array(joint.scales)[images]
    return np.log(
        sum(
            p * np.exp(-0.5 * ((x / scales - m) / s) ** 2) / (s * scales * np.sqrt(2 * np.pi))
            for p, m, s in zip((1 - joint.rho, joint.rho), joint.means, joint.sds, strict=True)
        )
    ).mean()


def test_the_joint_fit_is_a_maximum_of_the_likelihood_of_the_pixels():
    rng = np.random.default_rng(4)
    parts = [mixture(rng, 20_000).astype(np.float64) * scale for scale in (0.8, 1.25)]
    x, images = np.concatenate(parts), np.repeat([0, 1], 20_000)
    joint = fit_joint_mixture([histogram(p) for p in parts], iterations=500, tolerance=1e-12)
    best = joint_density(x, images, joint)
    assert np.prod(joint.scales) == pytest.approx(1)
    (m0, m1), (s0, s1), (a, b) = joint.means, joint.sds, joint.scales
    for moved in (
        JointMixture(joint.rho + 0.01, joint.means, joint.sds, joint.scales),
        JointMixture(joint.rho - 0.01, joint.means, joint.sds, joint.scales),
        JointMixture(joint.rho, (m0 * 1.003, m1), joint.sds, joint.scales),
        JointMixture(joint.rho, (m0, m1 * 0.997), joint.sds, joint.scales),
        JointMixture(joint.rho, joint.means, (s0 * 1.03, s1), joint.scales),
        JointMixture(joint.rho, joint.means, (s0, s1 * 0.97), joint.scales),
        JointMixture(joint.rho, joint.means, joint.sds, (a * 1.003, b)),
        JointMixture(joint.rho, joint.means, joint.sds, (a, b * 0.997)),
    ):
        assert joint_density(x, images, moved) < best


def test_the_scale_of_an_image_follows_its_background_and_not_its_mean():
    rng = np.random.default_rng(5)
    joint = JointMixture(0.8, (70.0, 100.0), (5.0, 5.0), (1.0,))
    crowded = 1.7 * mixture(rng, 50_000, share=0.5)  # more dark pixels than in the data set
    assert fit_scale(histogram(crowded), joint) == pytest.approx(1.7, rel=2e-3)
    result, statistics = normalize(crowded.reshape(200, 250), "gmm-dataset", joint=joint)
    assert statistics["scale"] == pytest.approx(1.7, rel=2e-3)
    background = result[result > -3]
    assert (background.mean(), background.std()) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))


def test_an_image_of_the_data_set_gets_its_scale_again():
    rng = np.random.default_rng(6)
    histograms = [histogram(mixture(rng, 30_000) * s) for s in (0.7, 1.0, 1.4)]
    joint = fit_joint_mixture(histograms, iterations=1000, tolerance=1e-12)
    np.testing.assert_allclose([fit_scale(h, joint) for h in histograms], joint.scales, rtol=1e-4)


def test_the_dominant_component_is_the_one_with_more_than_half():
    assert JointMixture(0.3, (1, 2), (3, 4), (1,)).dominant == (1, 3)
    assert JointMixture(0.7, (1, 2), (3, 4), (1,)).dominant == (2, 4)


def test_errors_of_the_joint_fit_and_of_normalize():
    centred = np.random.default_rng(0).normal(-0.5, 1, (50, 50)).astype(np.float32)
    joint = JointMixture(0.8, (70.0, 100.0), (5.0, 5.0), (1.0,))
    with pytest.raises(SettingsError, match="at least 1 histogram"):
        fit_joint_mixture([])
    with pytest.raises(MicrographError, match=r"their mean is -0.*use 'gmm' or 'affine'"):
        fit_joint_mixture([histogram(centred)])
    with pytest.raises(MicrographError, match="use 'gmm' or 'affine'"):
        normalize(centred, "gmm-dataset", joint=joint)
    with pytest.raises(SettingsError, match="needs the mixture of the data set"):
        normalize(centred, "gmm-dataset")
    blank = np.full((50, 50), 7.0, np.float32)
    blank[3, 4] = 1e6  # a hot pixel, which is clipped
    with pytest.raises(MicrographError, match="nearly all pixels are alike: an empty exposure"):
        normalize(blank, "affine")
    with pytest.raises(SettingsError, match="no normalization 'median'; choose from gmm, gmm-dataset, affine"):
        normalize(centred, "median")


@given(st.floats(0.01, 1000), st.floats(-1e4, 1e4))
@settings(max_examples=15, deadline=None)
def test_normalizing_forgets_gain_and_offset(gain, offset):
    pixels = mixture(np.random.default_rng(7), 10_000).reshape(100, 100)
    for method in ("gmm", "affine"):
        plain, _ = normalize(pixels, method)
        moved, _ = normalize(gain * pixels.astype(np.float64) + offset, method)
        np.testing.assert_allclose(moved, plain, atol=0.02)


def test_clip_can_be_turned_off():
    pixels = np.random.default_rng(0).normal(5, 1, (100, 100)).astype(np.float32)
    pixels[3, 4] = 1000
    assert normalize(pixels, clip=0)[0].max() > 900
    assert normalize(pixels, clip=4)[0].max() == 4


def test_preprocess_carries_the_achieved_pixel_size():
    pixels = np.random.default_rng(0).normal(500, 20, (201, 161)).astype(np.float32)
    small, statistics = preprocess(Micrograph(pixels, 1.5, "x"), factor=2, normalization="affine")
    assert small.pixels.shape == (100, 80)
    assert small.pixel_size == pytest.approx(1.5 * np.sqrt(201 / 100 * 161 / 80))
    assert (small.name, set(statistics)) == ("x", {"mean", "sd"})
    assert preprocess(Micrograph(pixels, None, "x"), factor=2)[0].pixel_size is None


def test_pixels_too_large_to_be_reckoned_with_are_refused():
    pixels = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    pixels[5, 5] = 3e38
    with pytest.raises(MicrographError, match="some pixels are too large"):
        downsample(pixels, 4)


@pytest.mark.parametrize("strength", [100.0, 1e4, 3e38])
@pytest.mark.parametrize("mean", [0.0, 40.0])
def test_faulty_pixels_do_not_ring(strength, mean):
    """Hot and dead pixels, on a frame of Gaussian or of Poisson noise: next to nothing changes away from them."""
    random = np.random.default_rng(0)
    noise = random.poisson(mean, (512, 512)) if mean else random.normal(size=(512, 512))
    pixels = noise.astype(np.float32)
    faulty = pixels.copy()
    places = random.integers(20, 490, (6, 2))
    for k, (y, x) in enumerate(places):
        faulty[y, x] = -strength if k % 2 else strength
    clean, mended = (preprocess(Micrograph(p, 1.0, "m"), factor=8)[0].pixels for p in (pixels, faulty))
    y, x = np.indices(clean.shape)
    near = np.zeros(clean.shape, dtype=bool)
    for place in places / 8:
        near |= np.hypot(y - place[0], x - place[1]) < 3
    assert np.abs(mended - clean)[~near].max() < 0.5
    assert np.abs(mended).max() < 6


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.2, 3.0, 100.0]))
@settings(max_examples=20, deadline=None)
def test_what_a_camera_counts_is_left_as_it_is(seed, mean):
    random = np.random.default_rng(seed)
    pixels = random.poisson(mean, (96, 130)).astype(np.float32)
    low, high = credible(pixels)
    assert low <= pixels.min()
    assert pixels.max() <= high
