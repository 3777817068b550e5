"""What can go wrong, as a tree.

::

    HeliodorError
    ├── SettingsError(ValueError)    a setting, or a combination of settings, that cannot be
    ├── MicrographError(ValueError)  a micrograph that cannot be found, read or used
    ├── FormatError(ValueError)      a coordinate file that cannot be read or written as asked
    ├── LabelError(ValueError)       labels that do not fit the micrographs
    ├── ModelError(ValueError)       an atomic model or a density map that cannot be used
    ├── WeightsError(ValueError)     a model file that cannot be loaded
    └── OutputError(OSError)         a result that cannot be written

Every message is one line that names the file (or the setting), the cause and the mend. The command
line catches `HeliodorError` once, prints that line and exits with code 2; anything else is a defect
of heliodor and keeps its traceback.
"""


class HeliodorError(Exception):
    """Base of every error that heliodor raises on purpose."""


class SettingsError(HeliodorError, ValueError):
    """A setting, or a combination of settings, that cannot be."""


class MicrographError(HeliodorError, ValueError):
    """A micrograph that cannot be found, read or used."""


class FormatError(HeliodorError, ValueError):
    """A coordinate file that cannot be read or written as asked."""


class LabelError(HeliodorError, ValueError):
    """Labels that do not fit the micrographs."""


class ModelError(HeliodorError, ValueError):
    """An atomic model or a density map that cannot be read or used."""


class WeightsError(HeliodorError, ValueError):
    """A model file that cannot be loaded."""


class OutputError(HeliodorError, OSError):
    """A result that cannot be written."""
