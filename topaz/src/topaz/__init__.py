"""The Python names of Topaz that other programs use, by heliodor. Everything loads on first use."""

from topaz._choice import check_alone

__version__ = "0.2.5"
"""Of Topaz's interface, which programs ask for; heliodor's own is `heliodor.__version__`."""

check_alone()
