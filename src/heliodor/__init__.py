"""Particle picking for cryo-EM from a few labelled particles."""
