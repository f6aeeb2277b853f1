"""Turn the Warwick DA text files of the PyPI wheel `corv` 0.2 into this package's data file.

Run once, by hand: `python -m astra_assets.pipelines.white_dwarf.convert corv-0.2-py3-none-any.whl`. Reads the
text format and checks it; what the numbers are used for is in `grid.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astra_assets.astronomy.constants import SPEED_OF_LIGHT_SI
from astra_assets.files.atomic import atomic_write
from astra_assets.pipelines.white_dwarf.balmer_lines import H_ALPHA, H_BETA
from astra_assets.spectra.airvac import air_to_vacuum

FOLDER = "corv/models/warwick_da/"
LICENCE = "corv-0.2.dist-info/LICENSE"
# The files of logg 5.0 to 6.5 have other wavelengths and end at 14,000 K; white dwarfs lie between 7 and 9.
GRAVITY_FILES = ("700_3D", "750_3D", "800_3D", "850_3D", "900_3D")
TEFF_RANGE = (4000.0, 120_000.0)  # K; cooler there are no Balmer lines left to fit, hotter no DA are known
WAVELENGTHS = (3480.0, 10_560.0)  # vacuum Angstrom, a little beyond what grid.py resamples to
HEADING = re.compile(r"Effective temperature =\s*(\S+)\s+gravity =\s*(\S+)\s+y =\s*(\S+)")
WITHOUT_E = re.compile(r"^([+-]?\d*\.?\d+)([+-]\d{3})$")  # Fortran drops the E before a three-digit exponent

FloatArray = NDArray[np.float64]


def read_models(text: str, name: str) -> tuple[FloatArray, dict[tuple[float, float], FloatArray]]:
    """Wavelengths [Angstrom, as published] and fluxes by (teff [K], gravity [cm s-2]).

    The fluxes are Eddington fluxes H_nu [erg s-1 cm-2 Hz-1].
    Raises ValueError, naming the file, when a block has not as many numbers as the first line announces.
    """
    first, *lines = text.splitlines()
    count = int(first)
    blocks: list[tuple[tuple[float, float] | None, list[str]]] = [(None, [])]
    for line in lines:
        if heading := HEADING.search(line):
            blocks.append(((float(heading[1]), float(heading[2])), []))
        else:
            blocks[-1][1].extend(line.split())
    arrays = []
    for key, words in blocks:
        if len(words) != count:
            raise ValueError(
                f"{name}: {count} numbers expected after {key or 'the first line'}, {len(words)} found"
            )
        arrays.append(np.array([_number(word) for word in words]))
    return arrays[0], {key: array for (key, _), array in zip(blocks, arrays, strict=True) if key is not None}


def _number(word: str) -> float:
    split = WITHOUT_E.match(word)
    return float(f"{split[1]}E{split[2]}" if split else word)


def convert(wheel: Path) -> dict[str, FloatArray | NDArray[np.float32]]:
    """The arrays of the data file: wavelength [vacuum Angstrom], teff [K], logg, and log_flux of these three.

    Raises ValueError when the files disagree in wavelengths or temperatures, or when the lines are not where
    air wavelengths put them.
    """
    models: dict[tuple[float, float], FloatArray] = {}
    published: FloatArray | None = None
    with zipfile.ZipFile(wheel) as archive:
        for name in GRAVITY_FILES:
            wavelength, found = read_models(archive.read(FOLDER + name).decode("ascii"), name)
            if published is not None and not np.array_equal(wavelength, published):
                raise ValueError(f"{name}: its wavelengths are not those of {GRAVITY_FILES[0]}")
            published = wavelength
            models.update(
                {(teff, round(float(np.log10(gravity)), 2)): flux for (teff, gravity), flux in found.items()}
            )
    assert published is not None
    teff = np.array(sorted({key[0] for key in models if TEFF_RANGE[0] <= key[0] <= TEFF_RANGE[1]}))
    logg = np.array(sorted({key[1] for key in models}))
    if missing := [(t, g) for t in teff for g in logg if (t, g) not in models]:
        raise ValueError(f"models are missing at (teff, logg) = {missing}")
    eddington = np.array([[models[t, g] for g in logg] for t in teff])
    _check_air(published, eddington[int(np.searchsorted(teff, 12_000.0)), 2])
    vacuum = air_to_vacuum(published)
    kept = (vacuum >= WAVELENGTHS[0]) & (vacuum <= WAVELENGTHS[1])
    flux = 4 * np.pi * eddington[..., kept] * (1e10 * SPEED_OF_LIGHT_SI) / vacuum[kept] ** 2
    return {
        "wavelength": vacuum[kept],
        "teff": teff,
        "logg": logg,
        "log_flux": np.log(flux).astype(np.float32),
    }


def _check_air(wavelength: FloatArray, flux: FloatArray) -> None:
    """Raise ValueError unless the cores of H-alpha and H-beta lie at their wavelengths in air."""
    for line in (H_ALPHA, H_BETA):
        core = np.flatnonzero(np.abs(wavelength - line.centre) < 8.0)
        depth = flux[core].max() - flux[core]
        weight = np.gradient(wavelength[core]) * depth * (depth > 0.7 * depth.max())
        centre = air_to_vacuum(np.array([np.sum(weight * wavelength[core]) / weight.sum()]))[0]
        if abs(centre - line.centre) > 0.1:
            raise ValueError(
                f"{line.name} lies at {centre:.2f} A if the wavelengths are in air, {line.centre} A expected"
            )


def main() -> None:
    """Read the wheel named on the command line, write the data file, its origin and its licence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path, help="corv-0.2-py3-none-any.whl from PyPI")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "data", help="folder to write to")
    options = parser.parse_args()
    arrays = convert(options.wheel)
    options.to.mkdir(parents=True, exist_ok=True)
    target = options.to / "warwick_da.npz"
    with atomic_write(target) as partial:
        np.savez_compressed(partial, allow_pickle=False, **arrays)
    with zipfile.ZipFile(options.wheel) as archive:
        (options.to / "LICENSE.corv").write_bytes(archive.read(LICENCE))
    shape = arrays["log_flux"].shape
    sys.stdout.write(f"{target}: teff, logg, wavelength {shape}, {target.stat().st_size} bytes\n")
    sys.stdout.write(f"sha256 of the wheel: {hashlib.sha256(options.wheel.read_bytes()).hexdigest()}\n")


if __name__ == "__main__":
    main()
