"""Commands as modules: `python -m topaz.commands.downsample`, or the file itself."""
