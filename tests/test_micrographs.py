from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

import mrcfile
import numpy as np
import pytest
import tifffile
from mrcfile.dtypes import HEADER_DTYPE
from PIL import Image

from heliodor.errors import FormatError, MicrographError, OutputError, SettingsError
from heliodor.find import find_micrographs
from heliodor.micrographs import Micrograph, read_frames, read_header, read_micrograph, write_micrograph

PIXELS = np.arange(35, dtype=np.float32).reshape(5, 7)
DTYPES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}


def write_mrc(path, pixels, voxel=1.5):
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = voxel
    return path


@pytest.mark.parametrize("mode", DTYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_mrc_mode_in_both_byte_orders(tmp_path, mode, order):
    path = tmp_path / "a.b.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(PIXELS.astype(np.dtype(DTYPES[mode]).newbyteorder(order)))
        mrc.voxel_size = 1.25
        assert mrc.header.mode == mode
    if mode == 0 and order == ">":  # bytes have no order: swap the header alone
        raw = path.read_bytes()
        header = np.frombuffer(raw[:1024], HEADER_DTYPE).byteswap()
        header["machst"] = 17, 17, 0, 0
        path.write_bytes(header.tobytes() + raw[1024:])
    assert int.from_bytes(path.read_bytes()[:4], "little" if order == "<" else "big") == 7
    read = read_micrograph(path)
    np.testing.assert_array_equal(read.pixels, PIXELS)
    assert (read.pixels.dtype, read.name) == (np.float32, "a.b")
    assert read.pixel_size == pytest.approx(1.25)
    shape, size = read_header(path)
    assert (shape, size) == ((5, 7), pytest.approx(1.25))


def test_a_pixel_size_of_zero_is_unknown_and_one_given_wins(tmp_path):
    path = write_mrc(tmp_path / "x.mrc", PIXELS, 0)
    assert read_micrograph(path).pixel_size is None
    assert read_header(path) == ((5, 7), None)
    assert read_micrograph(path, pixel_size=2.5, name="n").pixel_size == 2.5


def test_a_leading_axis_of_one_is_dropped(tmp_path):
    np.testing.assert_array_equal(read_micrograph(write_mrc(tmp_path / "x.mrc", PIXELS[None])).pixels, PIXELS)


def test_tiff_and_png(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", PIXELS.astype(np.uint16))
    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "x.png")
    Image.fromarray(PIXELS.astype(np.uint16)).save(tmp_path / "y.png")
    Image.fromarray(PIXELS.astype(np.uint16)).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    for name in ("x.tif", "lzw.tif", "x.png", "y.png"):
        read = read_micrograph(tmp_path / name)
        np.testing.assert_array_equal(read.pixels, PIXELS)
        assert read.pixel_size is None
        assert read_header(tmp_path / name) == ((5, 7), None)


def test_frames_of_a_compressed_tiff(tmp_path):
    frames = [np.full((5, 7), k, dtype=np.uint8) for k in range(3)]
    first, *others = map(Image.fromarray, frames)
    first.save(tmp_path / "x.tif", save_all=True, append_images=others, compression="tiff_lzw")
    np.testing.assert_array_equal(read_frames(tmp_path / "x.tif"), frames)
    with pytest.raises(MicrographError, match=r"stack or volume of shape \(3, 5, 7\)"):
        read_header(tmp_path / "x.tif")


@pytest.mark.parametrize("name", ["x.mrc", "x.tif", "x.png"])
def test_a_header_is_read_without_the_pixels(tmp_path, name):
    write_micrograph(tmp_path / name, Micrograph(np.random.default_rng(0).normal(size=(50, 70)).astype("f"), None, "x"))
    raw = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(raw[: len(raw) * 2 // 3] + bytes(len(raw) - len(raw) * 2 // 3))
    assert read_header(tmp_path / name) == ((50, 70), None)


def damaged(folder):
    """Files that cannot be used, and what must be said of each."""
    whole = write_mrc(folder / "whole.mrc", PIXELS)
    with_nan, with_inf = PIXELS.copy(), PIXELS.copy()
    with_nan[2, 3], with_inf[0, 0] = np.nan, np.inf
    with pytest.warns(RuntimeWarning):
        write_mrc(folder / "nan.mrc", with_nan)
    with pytest.warns(RuntimeWarning):
        write_mrc(folder / "inf.mrc", with_inf)
    write_mrc(folder / "constant.mrc", np.full((5, 7), 3, np.float32))
    write_mrc(folder / "stack.mrc", np.stack([PIXELS, PIXELS]))
    write_mrc(folder / "fourier.mrc", PIXELS.astype(np.complex64))
    (folder / "short.mrc").write_bytes(whole.read_bytes()[:-8])
    (folder / "header.mrc").write_bytes(whole.read_bytes()[:500])
    (folder / "empty.mrc").touch()
    tifffile.imwrite(folder / "x.tif", PIXELS)
    (folder / "cut.tif").write_bytes((folder / "x.tif").read_bytes()[:-60])
    (folder / "junk.png").write_bytes(b"not a picture")
    (folder / "x.dat").write_bytes(b"\xff\xfe")
    (folder / "folder.mrc").mkdir()
    return {
        "nan.mrc": "NaN or infinite.*leave it out",
        "inf.mrc": "NaN or infinite.*leave it out",
        "constant.mrc": "every pixel is 3.*leave it out",
        "stack.mrc": r"stack or volume of shape \(2, 5, 7\).*average its frames",
        "fourier.mrc": "complex pixels.*give the image itself",
        "short.mrc": "truncated or damaged.*7 x 5.*copy it again",
        "header.mrc": "cannot be read as mrc.*copy or write it again",
        "empty.mrc": "cannot be read as mrc.*copy or write it again",
        "cut.tif": "cannot be read as tif.*copy or write it again",
        "junk.png": "cannot be read as png.*copy or write it again",
        "x.dat": r"not a kind of image.*\.mrc",
        "folder.mrc": "a folder, not a micrograph",
        "whole.mrcs": "no such file; did you mean whole.mrc",
        "another/whole.mrc": "no such file; check the path",
    }


def test_files_that_cannot_be_used_say_so_in_one_line(tmp_path):
    for name, message in damaged(tmp_path).items():
        with pytest.raises(MicrographError, match=message) as caught:
            read_micrograph(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)


def test_headers_of_damaged_files(tmp_path):
    damaged(tmp_path)
    for name in ("header.mrc", "empty.mrc", "junk.png", "missing.mrc"):
        with pytest.raises(MicrographError, match=re.escape(str(tmp_path / name))):
            read_header(tmp_path / name)


@pytest.mark.parametrize("size", [2.5, None])
def test_written_mrc_is_valid_and_carries_its_pixel_size(tmp_path, size):
    path = tmp_path / "new" / "x.mrc"
    pixels = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    write_micrograph(path, Micrograph(pixels, size, "x"))
    report = io.StringIO()
    with redirect_stdout(report):
        assert mrcfile.validate(path), report.getvalue()
    read = read_micrograph(path)
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.pixel_size == (size if size is None else pytest.approx(size))
    assert [p.name for p in path.parent.iterdir()] == ["x.mrc"]


def test_written_tiff_is_exact_and_pictures_are_clipped_at_three(tmp_path):
    pixels = np.array([[-9, -3, 0], [1.5, 3, 70]], np.float32)
    for kind in ("tiff", "png", "jpg"):
        write_micrograph(tmp_path / f"x.{kind}", Micrograph(pixels, 1.0, "x"))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "x.tiff").pixels, pixels)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "x.png").pixels, [[0, 0, 128], [191, 255, 255]])
    np.testing.assert_allclose(read_micrograph(tmp_path / "x.jpg").pixels, [[0, 0, 128], [191, 255, 255]], atol=12)


def test_what_cannot_be_written(tmp_path):
    micrograph = Micrograph(PIXELS, None, "x")
    with pytest.raises(SettingsError, match=r"no format 'gif' to write.*choose mrc, tiff, png or jpg"):
        write_micrograph(tmp_path / "x.gif", micrograph)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        write_micrograph(tmp_path / "file" / "x.mrc", micrograph)


def test_frames(tmp_path):
    frames = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    with mrcfile.new(tmp_path / "x.mrcs") as mrc:
        mrc.set_data(frames)
    tifffile.imwrite(tmp_path / "x.tif", frames, photometric="minisblack")
    for name in ("x.mrcs", "x.tif"):
        np.testing.assert_array_equal(read_frames(tmp_path / name), frames)
    write_micrograph(tmp_path / "one.mrc", Micrograph(PIXELS, None, "one"))
    with pytest.raises(MicrographError, match=r"one\.mrc: a single image .*give a movie"):
        read_frames(tmp_path / "one.mrc")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("g1/x.mrc", "g1/y.mrc", "g1/[a].mrc", "g2/x.mrc", "g2/z.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "g1" / "notes.log").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["g1/y.mrc", "g1/x.mrc", "g1/./y.mrc"], ["y", "x"]),
        (["g1"], ["[a]", "x", "y"]),
        (["g?/*.mrc"], ["[a]", "g1/x", "y", "g2/x"]),
        (["g1/[a].mrc"], ["[a]"]),
        (["g2", "**/x.mrc"], ["g2/x", "z", "g1/x"]),
    ],
)
def test_paths_folders_and_globs(folder, inputs, names):
    assert [m.name for m in find_micrographs(inputs)] == names


def test_lists_of_text_topaz_and_relion(folder):
    (folder / "list.txt").write_text("# comment\n\ng1/x.mrc\ng2/z.tif\n")
    (folder / "list.tsv").write_text("image_name\tpath\tsource\nx\tg1/x.mrc\t0\nz\tg2/z.tif\tb\n")
    (folder / "sub").mkdir()
    star = "data_optics\nloop_\n_rlnOpticsGroup #1\n1\n\ndata_micrographs\nloop_\n_rlnMicrographName #1\n"
    (folder / "sub" / "list.star").write_text(star + "_rlnOpticsGroup #2\n".join(["", "g1/x.mrc 1\ng2/z.tif 1\n"]))
    for name in ("list.txt", "list.tsv", "sub/list.star"):
        found = find_micrographs([name])
        assert [m.name for m in found] == ["x", "z"]
        assert all(m.path.is_file() for m in found)
    assert [m.source for m in find_micrographs(["list.tsv"])] == ["0", "b"]


def test_a_star_file_may_tell_the_defocus(folder):
    columns = "data_\nloop_\n_rlnMicrographName\n_rlnDefocusU\n_rlnDefocusV\n"
    names = [m.path.as_posix() for m in find_micrographs(["g1"])]
    first, second = names[:2]
    (folder / "ctf.star").write_text(f"{columns}{first} 10000 11000\n{second} 20000 20000\n{first} 1 1\n")
    assert [m.defocus for m in find_micrographs(["ctf.star"])] == [10500, 20000]
    assert [m.defocus for m in find_micrographs(["g1"])] == [None] * len(names)
    (folder / "ctf.star").write_text(f"{columns}{first} 10000 x\n")
    with pytest.raises(FormatError, match=r"ctf\.star: .*'x'"):
        find_micrographs(["ctf.star"])


def test_a_listed_file_may_be_missing_even_the_first(folder):
    (folder / "g1" / "list.txt").write_text("gone.mrc\nx.mrc\n")
    gone, there = find_micrographs(["g1/list.txt"])
    assert there.path.is_file()
    with pytest.raises(MicrographError, match="no such file"):
        read_micrograph(gone.path)


def test_what_names_nothing(folder):
    (folder / "empty.txt").touch()
    (folder / "bare").mkdir()
    (folder / "binary.dat").write_bytes(b"\xff\xfe\x80")
    (folder / "particles.star").write_text("data_\nloop_\n_rlnCoordinateX\n1\n")
    for item in ("empty.txt", "bare", "h?/*.mrc"):
        with pytest.raises(MicrographError, match=f"^{re.escape(item)}: names no micrograph"):
            find_micrographs([item])
    with pytest.raises(MicrographError, match=r"did you mean x\.mrc"):
        find_micrographs(["g1/xx.mrc"])
    with pytest.raises(MicrographError, match="neither a list of images nor an image"):
        find_micrographs(["binary.dat"])
    with pytest.raises(FormatError, match="no table has _rlnMicrographName"):
        find_micrographs(["particles.star"])


def test_a_missing_image_can_be_kept(folder):
    assert [m.name for m in find_micrographs(["g1/xx.mrc", "g1/x.mrc"], missing="keep")] == ["xx", "x"]
