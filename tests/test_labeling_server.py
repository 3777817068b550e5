"""Who is let in, what can be reached, and what is answered: over a socket, byte by byte where it matters."""

import http.client
import json
import os
import socket
import struct
import threading

import numpy as np
import pytest

from browser_helpers import wait
from heliodor import read_picks
from heliodor.errors import SettingsError
from heliodor.find import find_micrographs
from heliodor.labeling.app import App
from heliodor.labeling.safety import MOST_BYTES, Guard
from heliodor.labeling.server import Server


@pytest.fixture(scope="module")
def server(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("label")
    app = App(find_micrographs([dataset[0]]), folder / "labels.txt", diameter=40)
    with Server(app, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    app.close()


def ask(server, path, method="GET", body=None, token=None, **headers):
    """Return status, headers and body; the path goes out as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/{server.guard.token if token is None else token}/{path}", body, names)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def post(server, path, words, **headers):
    headers = {"Content_Type": "application/json", **headers}
    body = words if isinstance(words, bytes) else json.dumps(words).encode()
    return ask(server, path, "POST", body, **headers)


def test_the_page_and_its_parts(server):
    status, headers, page = ask(server, "")
    assert status == 200
    assert b"<!doctype html>" in page
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "http://" not in page.decode().replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page.decode()
    for name in ("main.js", "page.css", "icon.svg"):
        assert ask(server, f"static/{name}")[0] == 200
    assert ask(server, "static/index.html")[1]["Content-Type"].startswith("text/html")


def test_session_micrograph_tile_thumbnail(server):
    session = json.loads(ask(server, "api/session")[2])
    assert session["names"] == ["001", "a.b.c", "plain", "with space"]
    facts = json.loads(ask(server, "api/micrograph/0")[2])
    assert (facts["width"], facts["height"], facts["pixel_size"]) == (260, 240, 2.0)
    for path in ("tile/0/0/0/0?lowpass=20&low=1&high=99", "tile/0/1/0/0", "thumbnail/3", "window/1?x=0&y=9&size=80"):
        status, headers, picture = ask(server, path)
        assert (status, headers["Content-Type"], picture[:2]) == (200, "image/jpeg", b"\xff\xd8")


@pytest.mark.parametrize("token", ["", "x", "favicon.ico", "%00", ".."])
def test_without_the_token_there_is_nothing(server, token):
    for path in ("", "api/session", "static/main.js", "nothing"):
        status, _, body = ask(server, path, token=token)
        assert status == 403
        assert server.guard.token.encode() not in body
    assert ask(server, "", token=server.guard.token[:-1])[0] == 403
    assert ask(server, "", token=server.guard.token.swapcase())[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil", ""]
)
def test_another_host_name_is_refused(server, host):
    """DNS rebinding: a page of evil.example whose name now leads to 127.0.0.1."""
    assert ask(server, "api/session", Host=host.format(port=server.server_port))[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:{port}", "127.0.0.1:9000", "[::1]:{port}"])
def test_names_of_this_machine_and_forwarded_ports_are_let_in(server, host):
    assert ask(server, "api/session", Host=host.format(port=server.server_port))[0] == 200


def test_a_page_of_another_site_changes_nothing(server):
    words = {"base": 0, "edits": []}
    assert post(server, "api/edit/0", words, Origin="http://evil.example")[0] == 403
    assert post(server, "api/edit/0", words, Origin="null")[0] == 403
    assert post(server, "api/edit/0", words, Content_Type="text/plain")[0] == 415
    assert post(server, "api/edit/0", words, Content_Type="application/x-www-form-urlencoded")[0] == 415
    assert post(server, "api/edit/0", words, Origin=f"http://127.0.0.1:{server.server_port}")[0] == 200


TRAVERSALS = [
    "static/../server.py",
    "static/%2e%2e/server.py",
    "static/..%2fserver.py",
    "static/%2e%2e%2f%2e%2e%2fserver.py",
    "static/..%5cserver.py",
    "static//etc/passwd",
    "static/....//server.py",
    "../static/main.js",
    "/etc/passwd",
    "static/main.js%00.css",
    "static/main.js/",
    "static/MAIN.JS",
    "static/",
    "static",
    "tile/0/0/0/0/..",
    "tile/0/0/0/%2e%2e",
    "thumbnail/../../labels.txt",
    "thumbnail/%2e%2e%2flabels.txt",
    "thumbnail/001.mrc",
    "thumbnail/-1",
    "thumbnail/4",
    "thumbnail/99999999999999999999",
    "api/micrograph/4",
    "tile/0/9/0/0",
    "tile/0/0/7/0",
    "window/4?x=1&y=1&size=50",
    "api/",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_but_the_micrographs_and_the_page(server, path):
    status, _, body = ask(server, path)
    assert status == 404
    assert json.loads(body) == {"error": "there is nothing here"}


def test_raw_request_lines(server):
    """What a proper client would never send."""
    for line in (
        b"GET http://127.0.0.1/%s/api/session HTTP/1.1" % server.guard.token.encode(),
        b"GET /../%s/api/session HTTP/1.1" % server.guard.token.encode(),
        b"GET /%s/thumbnail/\xd9\xa1 HTTP/1.1" % server.guard.token.encode(),  # a digit, but not one of ours
        b"GET /\xc3\xa9/api/session HTTP/1.1",
        b"GET /etc/passwd HTTP/1.1",
    ):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
            connection.sendall(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.makefile("rb").readline().split()[1] in (b"403", b"404"), line


def test_files_beside_the_micrographs_cannot_be_reached(dataset, tmp_path):
    """Numbers mean the micrographs that were given, whatever is put beside them, symbolic links included."""
    folder = tmp_path / "micrographs"
    folder.mkdir()
    os.symlink(dataset[0] / "001.mrc", folder / "linked.mrc")  # as RELION links its imports: given, so shown
    app = App(find_micrographs([folder]), tmp_path / "labels.txt")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    os.symlink(secret, folder / "more.png")
    with Server(app, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        assert ask(server, "thumbnail/0")[0] == 200
        for path in ("thumbnail/1", "thumbnail/more.png", "micrographs/more.png", "static/../../micrographs/more.png"):
            assert ask(server, path)[0] == 404
        (folder / "linked.mrc").unlink()
        os.symlink(secret, folder / "linked.mrc")  # no image: an error, and none of its bytes
        status, _, body = ask(server, "thumbnail/0")
        assert status == 422
        assert b"secret\n" not in body
        server.shutdown()
        thread.join()
    app.close()


def test_too_large_or_without_length(server):
    token = server.guard.token.encode()
    lengths = {b"": b"411", b"-5": b"411", b"1e3": b"411", b"%d" % (MOST_BYTES + 1): b"413", b"9" * 30: b"413"}
    for length, status in lengths.items():
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
            start = b"POST /%s/api/edit/0 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % token
            header = b"Content-Length: %s\r\n" % length if length else b"Transfer-Encoding: chunked\r\n"
            connection.sendall(start + header + b"\r\n")
            assert connection.makefile("rb").readline().split()[1] == status
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(b"GET /%s/api/session?%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (token, b"a" * 70_000))
        assert connection.makefile("rb").readline().split()[1] == b"414"


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"POST /%s/api/choices HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ],
)
def test_a_browser_that_goes_in_the_middle_of_a_request(server, start, capsys):
    before = set(threading.enumerate())  # one of which may be ending: the number of threads would tell nothing
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(start.replace(b"%s", server.guard.token.encode()))
        [answering] = wait(lambda: set(threading.enumerate()) - before)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, and not ended
    wait(lambda: not answering.is_alive())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("api/edit/0", b"{"),
        ("api/edit/0", b"\xff"),
        ("api/edit/0", b"[" * 100_000),
        ("api/edit/0", []),
        ("api/edit/0", {"edits": "all"}),
        ("api/edit/0", {"edits": [{"do": "add", "id": "a", "x": 1e9, "y": 1, "kind": "particle"}]}),
        ("api/edit/0", {"edits": [{"do": "add", "id": "a", "x": 10**400, "y": 1, "kind": "particle"}]}),
        ("api/edit/0", {"edits": [{"do": "done"}] * 20_001}),
        ("api/choices", 5),
        ("api/choices", {"diameter": "wide"}),
        ("api/choices", {"diameter": -1}),
        ("api/choices", {"diameter": 10**400}),
        ("api/choices", {"threshold": True}),
    ],
)
def test_nonsense_is_answered_with_one_line(server, path, words):
    status, _, body = post(server, path, words)
    assert status == 422
    assert "\n" not in json.loads(body)["error"]


MANY = "&".join(f"a{k}=1" for k in range(20))


@pytest.mark.parametrize(
    "query", ["lowpass=x", "lowpass=-1", "lowpass=1e9", "low=90&high=10", "high=inf", "low=nan", MANY]
)
def test_looks_that_cannot_be(server, query):
    assert ask(server, f"tile/0/0/0/0?{query}")[0] == 422


def test_training_needs_a_diameter(dataset, tmp_path):
    app = App(find_micrographs([dataset[0]]), tmp_path / "l.txt")
    with pytest.raises(SettingsError, match="diameter"):
        app.training.start(app.session.choice("diameter"))
    app.close()


def test_edit_over_http_and_changes(server):
    words = {"base": 0, "edits": [{"do": "add", "id": "aa", "x": 10.25, "y": 20, "kind": "particle"}]}
    before = json.loads(ask(server, "api/changes?since=0&micrograph=2&known=0")[2])
    assert "micrograph" not in before
    answer = json.loads(post(server, "api/edit/2", words)[2])
    assert read_picks(server.app.session.files.labels).of("plain").xy.tolist() == [[10.25, 20]]
    after = json.loads(ask(server, f"api/changes?since={before['revision']}&micrograph=2&known=0")[2])
    assert after["changed"] == [[2, 1, 0, False]]
    assert after["micrograph"]["labels"] == [["aa", 10.25, 20, "particle"]]
    assert after["micrograph"]["revision"] == answer["revision"]


def test_a_busy_port_is_an_error_and_the_usual_one_is_not(server):
    with pytest.raises(SettingsError, match="--port"):
        Server(server.app, port=server.server_port)


def test_guard_of_other_addresses():
    guard = Guard("0.0.0.0")
    assert not guard.is_local
    assert guard.knows_host("192.168.1.5:8765")  # an address cannot be rebound
    assert guard.knows_host(socket.gethostname())
    assert not guard.knows_host("evil.example:8765")
    assert Guard("::1").is_local
    assert Guard("127.0.0.5").is_local
    assert not Guard("localhost").knows_host("10.0.0.1")
    assert len({Guard("localhost").token for _ in range(50)}) == 50
    assert all(len(Guard("localhost").token) >= 32 for _ in range(5))


def test_picks_are_read_while_the_page_opens(dataset, tmp_path):
    from heliodor import Picks, write_picks

    write_picks(tmp_path / "p.star", Picks(["001"] * 3, np.ones((3, 2)) * 50, [1, 2, 3]))
    app = App(find_micrographs([dataset[0]]), tmp_path / "l.txt", picks=tmp_path / "p.star")
    app._reading.join()
    assert len(app.describe_micrograph(0)["picks"]) == 3
    assert app.describe_picks()["above"][0] == 3
    app.close()
    app = App(find_micrographs([dataset[0]]), tmp_path / "l.txt", picks=tmp_path / "none.star")
    app._reading.join()
    assert "none.star" in app.describe_picks()["error"]
    app.close()
