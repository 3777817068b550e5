from __future__ import annotations

import gzip

import gemmi
import mrcfile
import numpy as np
import pytest

from heliodor.errors import ModelError
from heliodor.simulation.density import density_potential, read_density
from heliodor.simulation.load import load_particle
from heliodor.simulation.model import Atoms, read_atoms
from heliodor.simulation.potential import atom_contrast, form_factor, ice_potential, potential, spread
from heliodor.simulation.volume import coarsen
from simulation_helpers import atom_positions, pdb_text, write_map, write_model


def test_the_assembly_that_the_file_defines_is_built(tmp_path):
    path = write_model(tmp_path / "two copies.pdb.gz")
    as_stands, whole = read_atoms(path, assembly="none"), read_atoms(path)
    first = np.concatenate([atom_positions("A"), atom_positions("B")])
    assert np.allclose(as_stands.xyz, first, atol=5e-4)
    assert len(whole) == 2 * len(as_stands)
    assert np.allclose(whole.xyz[len(first) :], first * [-1, -1, 1] + [0, 60, 10], atol=5e-4)


def test_assemblies_agree_with_gemmi_in_mmcif_too(tmp_path):
    structure = gemmi.read_pdb_string(pdb_text())
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(tmp_path / "x.cif"))
    structure.transform_to_assembly("1", gemmi.HowToNameCopiedChain.Short)
    theirs = sorted(tuple(np.round(cra.atom.pos.tolist(), 2)) for cra in structure[0].all())
    assert sorted(tuple(np.round(p, 2)) for p in read_atoms(tmp_path / "x.cif").xyz) == theirs


def test_water_is_left_out_and_hydrogens_are_made_up_for(tmp_path):
    atoms = read_atoms(write_model(tmp_path / "x.ent", pdb_text(water=True)), assembly="none")
    assert np.abs(atoms.xyz).max() < 100
    assert set(atoms.numbers) == {6, 7, 8}
    assert atoms.hydrogens.reshape(-1, 5).sum(axis=1) == pytest.approx(5)  # C3H5NO: alanine in a chain
    assert atoms.volumes.reshape(-1, 5).sum(axis=1) == pytest.approx(1.21 * 71.08, rel=1e-3)


def test_protein_stands_out_of_ice_as_measured():
    """8 V against 4.5 V, the inner potentials of protein and of amorphous ice (Vulovic et al. 2013)."""
    assert ice_potential() == pytest.approx(4.53, abs=0.02)
    structure = gemmi.read_pdb_string(pdb_text(assembly=False))
    assert structure[0].count_atom_sites() == 400
    alanine = Atoms(np.zeros((5, 3)), np.array([7, 6, 6, 8, 6]), np.ones(5), np.ones(5), np.full(5, 1.21 * 71.08 / 5))
    assert atom_contrast(alanine).sum() / alanine.volumes.sum() == pytest.approx(3.6, abs=0.4)


def test_spread_is_the_sum_of_splines():
    rng = np.random.default_rng(0)
    xyz, weights, size = rng.uniform(0, 12, (20, 3)), rng.uniform(0.5, 2, 20), 12

    def spline(d):
        d = np.abs(d)
        return np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.where(d < 2, (2 - d) ** 3 / 6, 0))

    slow = np.zeros((size,) * 3)
    grid = np.arange(size)
    for point, weight in zip(xyz, weights, strict=True):
        x, y, z = (spline((grid - p + size / 2) % size - size / 2) for p in point)
        slow += weight * z[:, None, None] * y[:, None] * x
    assert np.allclose(spread(xyz, weights, size), slow, atol=1e-6)


def test_the_potential_of_one_atom_is_its_form_factor():
    """Against the sum of five Gaussians in real space (no hydrogens, no displaced ice)."""
    place, voxel = np.array([0.3, -0.4, 0.2]), 0.25
    atoms = Atoms(place[None], np.array([6]), np.ones(1), np.zeros(1), np.zeros(1))
    volume = potential(atoms, voxel)
    table = gemmi.Element(6).c4322
    at = (np.arange(len(volume.values)) - volume.centre[0]) * voxel
    r2 = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2
    blur = 8.0  # A^2, added on both sides: the narrowest Gaussian is finer than any grid
    slow = sum(47.878 * a * (4 * np.pi / (b + blur)) ** 1.5 * np.exp(-4 * np.pi**2 * r2 / (b + blur))
               for a, b in zip(table.a, table.b, strict=True))  # fmt: skip
    s = np.fft.fftfreq(len(at), voxel)
    s2 = s[:, None, None] ** 2 + s[:, None] ** 2 + s**2
    blurred = np.fft.ifftn(np.fft.fftn(volume.values) * np.exp(-blur / 4 * s2)).real
    assert np.abs(blurred - slow).max() < 0.01 * slow.max()
    assert volume.values.sum() * voxel**3 == pytest.approx(47.878 * form_factor(6, np.zeros(1))[0], rel=1e-3)


def test_coarser_voxels_keep_mass_and_place(tmp_path):
    fine = potential(read_atoms(write_model(tmp_path / "x.pdb")), 1.5)
    coarse = coarsen(fine, 4.0)
    assert 3.0 < coarse.voxel_size <= 4.0
    assert coarse.values.sum() * coarse.voxel_size**3 == pytest.approx(fine.values.sum() * 1.5**3, rel=0.01)
    grid = np.indices(coarse.values.shape)[::-1].reshape(3, -1)
    middle = (grid * coarse.values.ravel()).sum(axis=1) / coarse.values.sum()
    assert np.abs(middle - coarse.centre).max() < 0.1
    assert coarsen(fine, 1.0) is fine


@pytest.mark.parametrize("axes", [(1, 2, 3), (2, 3, 1), (3, 1, 2)])
def test_a_map_is_read_whatever_its_axes(tmp_path, axes):
    values, voxel = read_density(write_map(tmp_path / "m.mrc.gz", axes=axes))
    assert voxel == pytest.approx(3.0)
    wide = [(values > 15).any(axis=tuple({0, 1, 2} - {axis})).sum() for axis in range(3)]
    assert wide[2] == max(wide)
    assert wide[2] > wide[1] > wide[0]


def test_a_map_comes_to_volts_with_its_surroundings_cleared(tmp_path):
    values, voxel = read_density(write_map(tmp_path / "m.map"))
    values[3, 3, 3] = 40  # a speck far from the particle
    volume = density_potential(values, voxel)
    inside = volume.values > 0.5 * volume.values.max()
    assert 2 < volume.values[inside].mean() < 12
    assert volume.values[:4].max() == volume.values[:, :4].max() == 0
    heavy = density_potential(values, voxel, mass=500)
    assert heavy.values.sum() * voxel**3 == pytest.approx(3.5 * 1.21 * 500e3, rel=1e-4)
    assert heavy.centre[0] > 20 > 19.5 > 0  # the smaller blob lies at larger x
    assert np.allclose(heavy.centre[1:], 20, atol=0.1)


def test_a_map_of_inverted_contrast_is_refused(tmp_path):
    values, voxel = read_density(write_map(tmp_path / "m.map"))
    with pytest.raises(ModelError, match="multiply it by -1"):
        density_potential(-values, voxel)
    dark, fringed = -values, -values
    dark[20, 20, 20] = 100  # a bright speck in a dark particle
    fringed[5:35, 5:35, 5:35] += 4  # a dark particle with a bright fringe
    for other in (dark, fringed):
        with pytest.raises(ModelError, match="multiply it by -1"):
            density_potential(other, voxel)


def test_the_centre_is_told_in_the_coordinates_of_the_file(tmp_path):
    atoms = read_atoms(write_model(tmp_path / "x.pdb"))
    middle = np.average(atoms.xyz, axis=0, weights=atom_contrast(atoms))
    assert load_particle(tmp_path / "x.pdb", 4.0).origin == pytest.approx(middle, abs=0.01)
    values, voxel = read_density(write_map(tmp_path / "m.map"))
    volume = density_potential(values, voxel)
    assert volume.origin == pytest.approx(volume.centre * 3.0)
    assert load_particle(tmp_path / "m.map", 8.0).origin == pytest.approx(volume.origin)


def test_alternate_conformers_have_the_hydrogens_of_one(tmp_path):
    """Side chains in two places, the backbone in one."""
    lines, conformers = pdb_text(assembly=False).splitlines(), {}
    for letters in ("AB", "A"):
        text = [
            f"{line[:16]}{letter}{line[17:54]}  0.50{line[60:]}" if line[13:15] == "CB" else line
            for line in lines
            for letter in (letters if line[13:15] == "CB" else " ")
        ]
        atoms = read_atoms(write_model(tmp_path / f"{letters}.pdb", "\n".join(text)))
        conformers[letters] = (atoms.weights * atoms.hydrogens).sum()
    assert conformers == {"AB": pytest.approx(80 * 5), "A": pytest.approx(80 * 4.5)}


class Said:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines = []

    note = warn = lambda self, message: self.lines.append(message)


def test_one_model_of_many_is_told_and_all_may_be_taken(tmp_path):
    atoms = [line for line in pdb_text(assembly=False).splitlines() if line.startswith("ATOM")]
    moved = [f"{line[:30]}{float(line[30:38]) + 90:8.3f}{line[38:]}" for line in atoms]
    text = "\n".join(["MODEL        1", *atoms, "ENDMDL", "MODEL        2", *moved, "ENDMDL", "END", ""])
    path, said = write_model(tmp_path / "x.pdb1.gz", text), Said()
    assert len(read_atoms(path, reporter=said)) == 400
    assert said.lines == ["x.pdb1.gz: model 1, the first of 2, is used; --assembly models takes all of them together"]
    whole = read_atoms(path, assembly="models", reporter=said)
    assert np.allclose(whole.xyz[400:], whole.xyz[:400] + np.array([90, 0, 0]), atol=1e-3)
    assert len(said.lines) == 1
    with pytest.raises(ModelError, match="choose from none, models"):
        read_atoms(path, assembly="2")


ATOM = "ATOM      1  C   ALA A   1    {0:>8}{0:>8}{0:>8}  {1} 20.00          {2:>2}\n"
CASES = {
    "missing.pdb": (None, "there is no such file"),
    "empty.pdb": ("END\n", "has no atoms"),
    "empty.cif": ("", "has no atoms"),
    "nan.pdb": (ATOM.format("nan", "1.00", "C"), "coordinates or occupancies are no numbers"),
    "heavy.pdb": (ATOM.format("1.000", "1.00", "LR"), "element 103, whose form factor is not known"),
    "nothing.pdb": (pdb_text().replace("  1.00 20.00", "  0.00 20.00"), "does not stand out of ice"),
    "water.pdb": (pdb_text(water=True).splitlines()[-2] + "\n", "no atoms but water"),
    "broken.cif": ("data_x\nloop_\n_atom_site.id\n'", "not a readable atomic model"),
    "no.xyz": ("", "not a kind of model"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_models_are_told_in_one_line(tmp_path, name):
    text, message = CASES[name]
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        load_particle(tmp_path / name, 4.0)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_options_and_maps_are_told(tmp_path):
    model, density = write_model(tmp_path / "x.pdb"), write_map(tmp_path / "m.mrc")
    with pytest.raises(ModelError, match="no biological assembly '7'; choose from 1, none"):
        load_particle(model, 4.0, assembly="7")
    with pytest.raises(ModelError, match="--mass and --map-pixel-size are for maps"):
        load_particle(model, 4.0, mass=100)
    with pytest.raises(ModelError, match="--assembly is for atomic models"):
        load_particle(density, 4.0, assembly="1")
    with pytest.raises(ModelError, match="no voxel size; give it with --map-pixel-size"):
        load_particle(write_map(tmp_path / "n.mrc", voxel_size=0), 4.0)
    assert load_particle(tmp_path / "n.mrc", 4.0, voxel_size=3.0).diameter > 30
    with mrcfile.new(tmp_path / "flat.mrc") as mrc:
        mrc.set_data(np.ones((16, 16), np.float32))
    with pytest.raises(ModelError, match="not a density map"):
        load_particle(tmp_path / "flat.mrc", 4.0)
    with mrcfile.new(tmp_path / "box.mrc") as mrc:
        mrc.set_data(np.random.default_rng(0).random((16, 16, 16), np.float32))
        mrc.voxel_size = (1, 1, 2)
    with pytest.raises(ModelError, match="are not cubes"):
        load_particle(tmp_path / "box.mrc", 4.0)
    (tmp_path / "cut.map.gz").write_bytes(gzip.compress(density.read_bytes()[:3000]))
    with pytest.raises(ModelError, match=r"cut.map.gz: (truncated|not a readable)"):
        load_particle(tmp_path / "cut.map.gz", 4.0)
    (tmp_path / "text.mrc").write_text("no map")
    with pytest.raises(ModelError, match="not a readable MRC"):
        load_particle(tmp_path / "text.mrc", 4.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mass": 0.0}, "--mass must be above 0. Got 0 instead"),
        ({"mass": -100.0}, "--mass must be above 0"),
        ({"mass": np.nan}, "--mass must be above 0. Got nan"),
        ({"voxel_size": 0.0}, "--map-pixel-size must be above 0"),
        ({"voxel_size": -6.0}, "--map-pixel-size must be above 0"),
        ({"voxel_size": np.inf}, "--map-pixel-size must be above 0"),
    ],
)
def test_impossible_options_of_a_map_are_refused(tmp_path, options, told):
    with pytest.raises(ModelError, match=told):
        load_particle(tmp_path / "map.mrc", 4.0, **options)


@pytest.mark.parametrize("name", ["x.pdb.gz", "x.cif.gz", "m.mrc.gz"])
@pytest.mark.parametrize("harm", ["cut", "damaged"])
def test_damaged_compressed_files_are_told(tmp_path, name, harm):
    """Cut where gemmi finds whole lines before the end, or with bytes in the middle that are others."""
    text = pdb_text(assembly=False)
    if name == "x.cif.gz":
        structure = gemmi.read_pdb_string(text)
        structure.setup_entities()
        text = structure.make_mmcif_document().as_string()
    path = write_map(tmp_path / name) if name == "m.mrc.gz" else write_model(tmp_path / name, text)
    content = bytearray(path.read_bytes())
    if harm == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_particle(path, 4.0)
    assert str(caught.value) == f"{path}: truncated or damaged; copy it again"


def test_a_model_that_a_browser_unpacked_is_read(tmp_path):
    (tmp_path / "x.pdb.gz").write_text(pdb_text())
    assert len(read_atoms(tmp_path / "x.pdb.gz")) == 800


def test_a_map_that_is_cut_off_is_told_once(tmp_path):
    path = tmp_path / "cut.mrc"
    path.write_bytes(write_map(tmp_path / "m.mrc").read_bytes()[:3000])
    with pytest.raises(ModelError) as caught:
        read_density(path)
    assert str(caught.value) == f"{path}: truncated or damaged; copy it again"
    path.write_text("no map")
    with pytest.raises(ModelError, match=r"not a readable MRC file .*; copy it again, or give an MRC map$"):
        read_density(path)


@pytest.mark.parametrize("size", [np.nan, np.inf, -1.0])
def test_a_voxel_size_that_is_no_number_is_told(tmp_path, size):
    path = write_map(tmp_path / "m.mrc")
    with mrcfile.open(path, "r+") as mrc:
        mrc.header.cella.x = 40 * size
    with pytest.raises(ModelError, match="no voxel size; give it with --map-pixel-size"):
        read_density(path)
    assert read_density(path, voxel_size=3.0)[1] == 3.0


@pytest.mark.parametrize("angle", [120.0, np.nan])
def test_a_cell_that_is_oblique_is_told(tmp_path, angle):
    path = write_map(tmp_path / "m.mrc")
    for angles in ((0, 0, 0), (90, 90, angle)):
        with mrcfile.open(path, "r+") as mrc:
            mrc.header.cellb.alpha, mrc.header.cellb.beta, mrc.header.cellb.gamma = angles
        if not any(angles):
            assert read_density(path)[1] == pytest.approx(3.0)
    with pytest.raises(ModelError, match=r"angles of 90, 90, (120|nan) degrees, not 90; resample it"):
        read_density(path)


@pytest.mark.parametrize("scale", [1e-41, 1e-30, 1e36])
def test_maps_of_any_unit_come_to_the_same_volts(tmp_path, scale):
    values, voxel = read_density(write_map(tmp_path / "m.map"))
    plain, scaled = density_potential(values, voxel), density_potential(values * np.float32(scale), voxel)
    assert np.allclose(scaled.values, plain.values, atol=2e-2 * plain.values.max())


def test_options_of_a_map_that_are_of_another_unit_are_told(tmp_path):
    for option in ("mass", "voxel_size"):
        with pytest.raises(ModelError, match=r"is in (kilodalton|angstrom), .* Got 1e\+30 instead"):
            load_particle(tmp_path / "map.mrc", 4.0, **{option: 1e30})


def far_atom(x: float) -> str:
    return f"ATOM   9999  CA  ALA A 999    {x:8.1f}{x:8.1f}{x:8.1f}  1.00 20.00           C\n"


def test_an_atom_far_from_the_rest_is_told_before_it_costs_memory(tmp_path, monkeypatch):
    path = write_model(tmp_path / "x.pdb", far_atom(9000.0) + pdb_text(assembly=False))
    monkeypatch.setattr("heliodor.simulation.load.potential", None)
    with pytest.raises(ModelError, match=r"x.pdb: 1 atom lies 15\d\d\d A from the rest, \d+ A across; remove"):
        load_particle(path, 4.0)
    atoms = [line for line in pdb_text(assembly=False).splitlines() if line.startswith("ATOM")][:20]
    few, sizes = write_model(tmp_path / "few.pdb", far_atom(9000.0) + "\n".join(atoms)), []

    def grid(atoms, voxel_size):
        sizes.append(np.ptp(atoms.xyz, axis=0).max() * np.sqrt(3) / voxel_size)
        raise ModelError("as far as this")

    monkeypatch.setattr("heliodor.simulation.load.potential", grid)
    with pytest.raises(ModelError, match="as far as this"):
        load_particle(few, 4.0)
    assert sizes[0] < 250
    structure = gemmi.read_pdb_string(pdb_text(assembly=False))
    structure[0][0][0][0].pos.x = 1e200
    structure.make_mmcif_document().write_file(str(tmp_path / "far.cif"))
    with pytest.raises(ModelError, match=r"far.cif: has atoms more than 1e\+06 A from its origin"):
        load_particle(tmp_path / "far.cif", 4.0)


def test_heavy_atoms_stand_out_and_light_ones_are_as_they_were(tmp_path):
    lines = [
        f"HETATM{k:5d} {name:>2}   {name:>3} A{k:4d}    {10 * k:8.3f}   0.000   0.000  1.00 20.00          {name:>2}"
        for k, name in enumerate(["S", "CL", "SE", "FE", "I", "AU", "U"], 1)
    ]
    atoms = read_atoms(write_model(tmp_path / "x.pdb", "\n".join(lines)))
    volumes = dict(zip(atoms.numbers.tolist(), atoms.volumes.tolist(), strict=True))
    assert volumes[16] == pytest.approx(1.21 * 32.06, rel=0.1)  # with the hydrogens that a residue S may have
    assert {z: v for z, v in volumes.items() if z > 17} == {34: 25, 26: 25, 53: 25, 79: 25, 92: 25}
    assert (atom_contrast(atoms) > 0).all()
