"""Small pictures of a product, for people who look before they sign: diagrams of a sample of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Columns = Mapping[str, np.ndarray[Any, Any]]
SAMPLE_ROWS = 20_000
"""Rows that a picture is made of at most; more would only make it blacker."""


@dataclass(frozen=True)
class Panel:
    """One diagram: the columns that it needs and the function that draws it."""

    needs: tuple[str, ...]
    draw: Callable[[Axes, Columns], None]


def colour_magnitude(axes: Axes, columns: Columns) -> None:
    """Absolute Gaia G against BP - RP, from the parallax; the usual Hertzsprung-Russell diagram of Gaia."""
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute = columns["g_mag"] + 5 + 5 * np.log10(columns["plx"] / 1000)
    scatter(axes, columns["bp_mag"] - columns["rp_mag"], absolute)
    axes.invert_yaxis()
    axes.set(xlabel="BP - RP [mag]", ylabel="absolute G [mag]", title="Hertzsprung-Russell diagram")


def sky(axes: Axes, columns: Columns) -> None:
    """Positions on the sky."""
    scatter(axes, columns["ra"], columns["dec"])
    axes.set(
        xlabel="right ascension [deg]", ylabel="declination [deg]", title="Sky", xlim=(360, 0), ylim=(-90, 90)
    )


def kiel(axes: Axes, columns: Columns) -> None:
    """Surface gravity against effective temperature."""
    scatter(axes, columns["teff"] / 1000, columns["logg"])
    axes.invert_xaxis()
    axes.invert_yaxis()
    axes.set(xlabel="effective temperature [1000 K]", ylabel="log g", title="Kiel diagram")


def classes(axes: Axes, columns: Columns) -> None:
    """How many spectra each class has."""
    names, counts = np.unique(columns["classification"].astype(str), return_counts=True)
    order = np.argsort(counts)[::-1][:15]
    axes.bar(names[order], counts[order], color="tab:blue")
    axes.tick_params(axis="x", rotation=70)
    axes.set(ylabel="spectra", title="Classes")


def velocities(axes: Axes, columns: Columns) -> None:
    """Distribution of radial velocities."""
    values = columns["v_rad"]
    axes.hist(values[np.isfinite(values)], bins=60, color="tab:blue")
    axes.set(xlabel="radial velocity [km/s]", ylabel="spectra", title="Velocities")


def velocity_errors(axes: Axes, columns: Columns) -> None:
    """Velocity error against signal-to-noise ratio; outliers stand above the band."""
    scatter(axes, columns["snr"], columns["e_v_rad"])
    axes.set(xlabel="S/N per pixel", ylabel="velocity error [km/s]", title="Velocity errors", yscale="log")


def signal_to_noise(axes: Axes, columns: Columns) -> None:
    """Distribution of the signal-to-noise ratio."""
    values = columns["snr"]
    axes.hist(values[np.isfinite(values)], bins=60, color="tab:blue")
    axes.set(xlabel="S/N per pixel", ylabel="spectra", title="Signal-to-noise ratio")


def nights(axes: Axes, columns: Columns) -> None:
    """Spectra per night."""
    axes.hist(columns["mjd"], bins=60, color="tab:blue")
    axes.set(xlabel="modified Julian date [d]", ylabel="spectra", title="Nights")


def scatter(axes: Axes, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
    """Points where both coordinates are finite."""
    good = np.isfinite(x) & np.isfinite(y)
    axes.plot(x[good], y[good], ".", markersize=2.5, alpha=0.6)


HERTZSPRUNG_RUSSELL = Panel(("g_mag", "bp_mag", "rp_mag", "plx"), colour_magnitude)
SKY = Panel(("ra", "dec"), sky)
KIEL = Panel(("teff", "logg"), kiel)
CLASSES = Panel(("classification",), classes)
VELOCITIES = Panel(("v_rad",), velocities)
VELOCITY_ERRORS = Panel(("snr", "e_v_rad"), velocity_errors)
SIGNAL_TO_NOISE = Panel(("snr",), signal_to_noise)
NIGHTS = Panel(("mjd",), nights)

PREFERRED = (CLASSES, VELOCITY_ERRORS, KIEL, VELOCITIES, NIGHTS, SIGNAL_TO_NOISE, HERTZSPRUNG_RUSSELL, SKY)
"""Diagrams from the most to the least telling; a product shows the first two for which it has the columns."""


def panels_for(names: set[str], count: int = 2) -> tuple[Panel, ...]:
    """The diagrams to draw for a table with these columns."""
    return tuple(panel for panel in PREFERRED if names.issuperset(panel.needs))[:count]


def draw(panels: tuple[Panel, ...], columns: Columns) -> bytes:
    """The diagrams side by side as a PNG.

    Args:
        panels: what to draw, at least one.
        columns: arrays of equal length, NaN where there is no value.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 3.2), dpi=80, layout="constrained")
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        panel.draw(axes, columns)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
