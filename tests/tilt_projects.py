"""Small projects of RELION 5 and WarpTools whose tilt images are made from Gaussian blobs, blob by blob.

Nothing here knows of Fourier slices: a blob at p appears in an image as a Gaussian at ``P p``, as RELION defines P.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from torchsag.imaging.ctf import Microscope
from torchsag.io.mrc import write_mrc

PIXEL, SERIES_PIXEL, SIZE = 8.0, 2.0, (2000, 1800, 600)
TILTS = tuple(range(-60, 61, 4))


def turn(axis, angle_deg):
    """Active right-handed rotation about x, y or z."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def relion_matrix(rot, tilt, psi):
    """RELION's ``Euler_angles2matrix``, transposed turns: rot about z, tilt about y, psi about z."""
    return (turn("z", rot) @ turn("y", tilt) @ turn("z", psi)).T


def _row(numbers):
    return " ".join(f"{number:.4f}" for number in numbers)


@dataclass
class Project:
    """What is simulated: angles (deg), origins and centred positions (angstrom), the hand, the kind of images."""

    blobs: torch.Tensor
    heights: torch.Tensor
    n: int = 24
    angles: tuple = ((10.0, 70.0, -35.0), (130.0, 40.0, 80.0))
    origins: tuple = ((4.0, -6.0, 9.0), (0.0, 0.0, 0.0))
    positions: tuple = ((300.0, -150.0, 220.0), (-500.0, 210.0, -180.0))
    hand: float = -1.0
    premultiplied: bool = True
    keep_invisible: bool = False
    hidden: tuple = (0, 7)
    width: float = 1.5
    frames: list = field(default_factory=lambda: [turn("z", 85.0) @ turn("y", t) @ turn("x", 2.0) for t in TILTS])

    @property
    def defoci(self):
        return [(25000.0 + 40 * k, 24000.0 - 30 * k, 20.0 + k) for k in range(len(TILTS))]

    def images(self, particle):
        """All images of one particle, its CTF by depth, as electrons would have it."""
        n, out = self.n, []
        matrix = relion_matrix(*self.angles[particle])
        centre = -np.array(self.origins[particle]) / PIXEL
        where = self.blobs.numpy() @ matrix.T + centre
        axis = np.arange(n) - n // 2
        offset = np.array(self.positions[particle]) - np.array(self.origins[particle])
        for frame, (u, v, angle) in zip(self.frames, self.defoci, strict=True):
            seen = where @ frame.T
            gx = np.exp(-((axis[None] - seen[:, :1]) ** 2) / (2 * self.width**2))
            gy = np.exp(-((axis[None] - seen[:, 1:2]) ** 2) / (2 * self.width**2))
            image = np.einsum("g,gy,gx->yx", self.heights.numpy(), gy, gx) * self.width * np.sqrt(2 * np.pi)
            depth = self.hand * frame[2] @ offset
            out.append(self._seen_through(image, u + depth, v + depth, angle))
        return np.stack(out)

    def _seen_through(self, image, defocus_u, defocus_v, angle_deg):
        n = self.n
        fx, fy = np.meshgrid(np.fft.rfftfreq(n, PIXEL), np.fft.fftfreq(n, PIXEL))
        turned = np.cos(2 * (np.arctan2(fy, fx) - np.radians(angle_deg)))
        defocus = (defocus_u + defocus_v) / 2 + (defocus_u - defocus_v) / 2 * turned
        radius = torch.from_numpy(np.hypot(fx, fy))
        ctf = Microscope(300.0, 2.7, 0.1).ctf(radius, torch.from_numpy(-1e-4 * defocus)).numpy()
        return np.fft.irfft2(np.fft.rfft2(image) * (ctf**2 if self.premultiplied else ctf), s=(n, n))

    @property
    def visible(self):
        return [int(k not in self.hidden) for k in range(len(TILTS))]

    def _write_images(self, folder: Path):
        names = []
        for particle in range(len(self.angles)):
            images = self.images(particle)
            if self.keep_invisible:
                images[list(self.hidden)] = 7.0  # whatever stands there must not be looked at
            else:
                images = images[[k for k, seen in enumerate(self.visible) if seen]]
            names.append(f"stacks/{particle + 1}_stack2d.mrcs")
            path = folder / names[-1]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mrc(path, images, PIXEL, float16=False)
        return names

    def _optics(self, binning):
        return (
            "\ndata_general\n\n_rlnTomoSubTomosAre2DStacks 1\n\ndata_optics\n\nloop_\n_rlnOpticsGroup\n"
            "_rlnOpticsGroupName\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n"
            "_rlnTomoTiltSeriesPixelSize\n_rlnCtfDataAreCtfPremultiplied\n_rlnImageDimensionality\n"
            "_rlnTomoSubtomogramBinning\n_rlnImagePixelSize\n_rlnImageSize\n"
            f"1 optics1 300 2.7 0.1 {SERIES_PIXEL} {int(self.premultiplied)} 2 {binning} {PIXEL} {self.n}\n"
        )

    def _rows(self, names, coordinates):
        seen = "[" + ",".join(map(str, self.visible)) + "]"
        return "".join(
            f"tomo_1 tomo_1/{k + 1} {_row(c)} {_row(a)} {_row(o)} 1 {name} {seen}\n"
            for k, (name, c, a, o) in enumerate(zip(names, coordinates, self.angles, self.origins, strict=True))
        )

    _COLUMNS = (
        "_rlnTomoName\n_rlnTomoParticleName\n{0}X{1}\n{0}Y{1}\n{0}Z{1}\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n"
        "_rlnOriginXAngst\n_rlnOriginYAngst\n_rlnOriginZAngst\n_rlnOpticsGroup\n_rlnImageName\n_rlnTomoVisibleFrames\n"
    )

    def write_relion5(self, folder: Path) -> Path:
        """particles.star, tomograms.star, one tilt-series star, optimisation set; frames as Euler angles."""
        names = self._write_images(folder)
        columns = self._COLUMNS.format("_rlnCenteredCoordinate", "Angst")
        (folder / "particles.star").write_text(
            self._optics(4) + "\ndata_particles\n\nloop_\n" + columns + self._rows(names, self.positions)
        )
        (folder / "tomograms.star").write_text(
            "\ndata_global\n\nloop_\n_rlnTomoName\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n"
            "_rlnTomoHand\n_rlnTomoTiltSeriesPixelSize\n_rlnTomoTiltSeriesStarFile\n"
            f"tomo_1 300 2.7 0.1 {self.hand} {SERIES_PIXEL} tilt_series/tomo_1.star\n"
        )
        rows = "".join(
            f"{u} {v} {a} 0.0 2.0 {t} 85.0 -12.5 30.0\n" for t, (u, v, a) in zip(TILTS, self.defoci, strict=True)
        )
        (folder / "tilt_series").mkdir()
        (folder / "tilt_series" / "tomo_1.star").write_text(
            "\ndata_tomo_1\n\nloop_\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n_rlnMicrographPreExposure\n"
            "_rlnTomoXTilt\n_rlnTomoYTilt\n_rlnTomoZRot\n_rlnTomoXShiftAngst\n_rlnTomoYShiftAngst\n" + rows
        )
        path = folder / "optimisation_set.star"
        path.write_text(
            "\ndata_optimisation_set\n\n_rlnTomoParticlesFile particles.star\n_rlnTomoTomogramsFile tomograms.star\n"
        )
        return path

    def write_warp(self, folder: Path) -> Path:
        """WarpTools' way: matrices without translation, coordinates in the particles' pixels, a nameless block."""
        names = self._write_images(folder)
        corner = np.array(SIZE) * SERIES_PIXEL / 2
        coordinates = [(np.array(p) + corner) / PIXEL for p in self.positions]
        columns = self._COLUMNS.format("_rlnCoordinate", "")
        (folder / "list.star").write_text(
            self._optics(PIXEL / SERIES_PIXEL)
            + "\ndata_particles\n\nloop_\n"
            + columns
            + self._rows(names, coordinates)
        )
        rows = "".join(
            " ".join("[" + ",".join(f"{x:.9f}" for x in row) + ",0]" for row in frame) + f" [0,0,0,1] {u} {v} {a} 0.0\n"
            for frame, (u, v, a) in zip(self.frames, self.defoci, strict=True)
        )
        (folder / "list_tomograms.star").write_text(
            "\ndata_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesName\n_rlnTomoFrameCount\n_rlnTomoSizeX\n"
            "_rlnTomoSizeY\n_rlnTomoSizeZ\n_rlnTomoHand\n_rlnTomoTiltSeriesPixelSize\n_rlnVoltage\n"
            "_rlnSphericalAberration\n_rlnAmplitudeContrast\n"
            f"tomo_1 dummy.mrc {len(TILTS)} {SIZE[0]} {SIZE[1]} {SIZE[2]} {self.hand} {SERIES_PIXEL} 300 2.7 0.1\n"
            "\ndata_tomo_1\n\nloop_\n_rlnTomoProjX\n_rlnTomoProjY\n_rlnTomoProjZ\n_rlnTomoProjW\n_rlnDefocusU\n"
            "_rlnDefocusV\n_rlnDefocusAngle\n_rlnMicrographPreExposure\n" + rows
        )
        path = folder / "list_optimisation_set.star"
        path.write_text("data_\n\n_rlnTomoParticlesFile   list.star\n_rlnTomoTomogramsFile   list_tomograms.star\n")
        return path
