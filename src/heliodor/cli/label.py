"""Label particles, and judge picks, on a page in the browser that this machine serves."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "micrographs", nargs="+", metavar="MICROGRAPH",
        help="image, glob in quotes, folder, or text/STAR file that lists images; @FILE: arguments, one per line",
    )  # fmt: skip
    parser.add_argument(
        "--labels", default="labels.txt", help="file that holds the labels, .txt or .star; made where it is not there"
    )
    parser.add_argument(
        "--picks", default=None,
        help="picks to look at: a coordinate file, or the folder of a run of heliodor pick (default: the last run that "
        "was started from the page)",
    )  # fmt: skip
    parser.add_argument("--diameter", type=float, default=None, help="particle's long axis, in angstrom")
    parser.add_argument("--angpix", type=float, default=None, help="angstrom per pixel, where headers are wrong")
    parser.add_argument(
        "--pick-options", default="", metavar="OPTIONS",
        help="more options of heliodor pick, for training from the page: --pick-options='--model resnet8'",
    )  # fmt: skip
    server = parser.add_argument_group("server")
    server.add_argument("--port", type=int, default=None, help="port to listen on (default: 8765, or any free one)")
    server.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; with any but the default, others can reach the page"
    )
    server.add_argument("--browser", action="store_true", help="open the page in this machine's browser")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import signal
    import threading
    import webbrowser

    from heliodor.find import find_micrographs
    from heliodor.labeling.app import App
    from heliodor.labeling.server import Server

    _check(options)
    pick_arguments = _pick_arguments(options.pick_options)
    micrographs = find_micrographs(options.micrographs)
    app = App(
        micrographs,
        options.labels,
        picks=options.picks,
        diameter=options.diameter,
        pixel_size=options.angpix,
        pick_arguments=pick_arguments,
    )
    try:
        server = Server(app, options.host, options.port)
        sys.stdout.write(_greeting(server.address, server.server_port, options, len(micrographs)))
        sys.stdout.flush()
        if options.browser:
            threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
        for name in ("SIGTERM", "SIGHUP"):  # end as with Ctrl-C: training is stopped as well
            signal.signal(getattr(signal, name), signal.default_int_handler)
        with server:
            server.serve_forever()
    except KeyboardInterrupt:
        sys.stderr.write(f"heliodor: stopped; the labels are in {options.labels}\n")
    finally:
        app.close()
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse now what would only be seen on the page."""
    from pathlib import Path

    from heliodor.errors import FormatError, SettingsError

    for name, unit in (("diameter", "angstrom"), ("angpix", "angstrom per pixel")):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise SettingsError(f"--{name} must be more than 0, in {unit}. Got {value:g} instead.")
    if options.picks and not Path(options.picks).exists():
        raise FormatError(f"{options.picks}: there is no such file or folder of picks; check the path")


def _pick_arguments(text: str) -> list[str]:
    """Split options of `heliodor pick`; one that is none is an error now, and not when somebody trains."""
    import shlex

    from heliodor.cli import Parser, pick
    from heliodor.errors import SettingsError

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"--pick-options: not words of a shell ({error}); mend its quotes") from error
    parser = Parser(prog="heliodor label --pick-options")
    pick.add_arguments(parser)
    parser.parse_intermixed_args(["all", "--labels", "labels", "--diameter", "1", "-o", "out", *words])
    return words


def _greeting(address: str, port: int, options: argparse.Namespace, count: int) -> str:
    import socket

    lines = [f"{count} micrographs; labels are kept in {options.labels}", "", f"    {address}", ""]
    if options.host in ("127.0.0.1", "localhost"):
        lines += [
            "Open this address in a browser on this machine. From another machine, run there first",
            "",
            f"    ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}",
        ]
    else:
        lines.append("Whoever has this address and reaches this machine can label and train; nothing is encrypted.")
    return "\n".join([*lines, "", "Ctrl-C ends it; every label is on disk already.", ""])
