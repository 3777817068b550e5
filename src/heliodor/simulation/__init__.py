"""Micrographs with known truth, from an atomic model or a density map.

::

    model.py, potential.py, or density.py -> volume.py -> projection.py ->|
    settings.py -> scene.py (placement.py, junk.py) --------------------->| micrograph.py -> files.py
                                                                             (ctf.py, ice.py, detector.py)

A scene is everything that is known about a micrograph before it is drawn: optics, ice, where particles and junk are.
"""
