"""Denoising of micrographs by networks: those of Topaz-Denoise, and training of new ones from pairs of exposures."""

from heliodor.denoise.apply import denoise
from heliodor.denoise.networks import ARCHITECTURES, Denoiser, DenoiserSettings
from heliodor.denoise.weights import load_denoiser, save_denoiser

__all__ = ["ARCHITECTURES", "Denoiser", "DenoiserSettings", "denoise", "load_denoiser", "save_denoiser"]
