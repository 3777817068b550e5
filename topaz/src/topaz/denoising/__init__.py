"""Denoising under Topaz's names."""
