"""Picking: scores, suppression, threshold, and the main job that joins them."""
