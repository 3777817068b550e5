"""Training: labels and prior, tiles, objectives, the loop."""
