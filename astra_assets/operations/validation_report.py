"""Tables and pictures of what validation found: `docs/validation.md`, or such a page of any folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astra_assets.files.atomic import atomic_write
from astra_assets.operations.validation_outcomes import REFUSED, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SNR_BINS = ((2.0, 5.0), (5.0, 8.0), (8.0, 12.0), (12.0, 25.0), (25.0, 80.0), (80.0, 1e9))
TEFF_BINS = ((0.0, 10_500.0), (10_500.0, 16_000.0), (16_000.0, 30_000.0), (30_000.0, 2e5))
FEWEST = 5
"""Spectra that a row of a table must have."""
EXPLANATION = "Median and robust scatter of fitted less true values, and the robust scatter of pulls, of fits without a flag."
UNRELIABLE = frozenset({"hot_or_cold", "bad_fit", "unconverged", "teff_grid_edge_bad", "logg_grid_edge_bad"})
"""Flags of a fit that is not used in the tables of parameters."""

Floats = NDArray[np.float64]


def write_report(
    page: Path, simulated: Sequence[Outcome], alone: Sequence[Outcome], real: Sequence[Outcome], how: str
) -> None:
    """Write the page and, in a folder of its name beside it, its pictures.

    Args:
        page: a Markdown file.
        simulated: outcomes of simulated spectra; may be empty.
        alone: outcomes of the same spectra when nothing is known from Gaia.
        real: outcomes of spectra of other origin; may be empty.
        how: the command that made it.
    """
    pictures = page.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [INTRODUCTION.format(how=how)]
    if simulated:
        parts += ["## Simulated spectra", *_section(simulated, pictures, "simulated")]
    if alone:
        parts += ["## The same spectra without Gaia", *_section(alone, pictures, "without-gaia")]
    if real:
        parts += ["## Spectra of other origin", *_section(real, pictures, "real"), _listed(real)]
    with atomic_write(page) as partial:
        partial.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


INTRODUCTION = """# Validation of the white-dwarf pipelines

Made by `{how}`; not written by hand.

The simulated spectra are drawn with a seed of their own from `demo/validation_sample.py`: DA whose profiles,
depths and convection differ from those of the grid that is fitted, all other classes of the synthesis, S/N 2 to
80, half of them with one of the faults of `synthesis/faults.py`. The classifier is trained on simulated spectra
of the same synthesis of the other classes, so precision between those is optimistic. Spectra of other origin are
observed ones that nothing was trained on, without Gaia; their DA are shown once as they are and once with each
fault.

A class counts as given when its probability is at least 0.5 and no flag says otherwise. "Confidently wrong"
are spectra with a wrong class, neither `undecided` nor `none_of_these`."""


def _section(found: Sequence[Outcome], pictures: Path, name: str) -> list[str]:
    clean = [one for one in found if one.fault == "none"]
    parts = [
        _counts(found, len(clean)),
        "### Classes, without faults",
        _by_class(clean),
        "### DA by S/N, without faults",
        _by(clean, [(_range(b), _within(b)) for b in SNR_BINS]),
        "### DA by fault",
        _by(found, [(fault, _with_fault(fault)) for fault in dict.fromkeys(sorted(o.fault for o in found))]),
        _parameters(found),
    ]
    _picture_of_reliability(found, pictures / f"{name}-reliability.png")
    parts.append(f"![Reliability]({pictures.name}/{name}-reliability.png)")
    if sum(_has_parameters(one) and one.fault == "none" for one in found) >= FEWEST:
        _picture_of_parameters(found, pictures / f"{name}-parameters.png")
        parts.append(f"![Parameters]({pictures.name}/{name}-parameters.png)")
    return parts


def _counts(found: Sequence[Outcome], clean: int) -> str:
    seconds = [one.seconds for one in found]
    return (
        f"{len(found)} spectra, {clean} of them without a fault; {1000 * float(np.median(seconds)):.0f} ms of "
        f"processor time each (median of both pipelines), at most {max(seconds):.2f} s."
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _by_class(found: Sequence[Outcome]) -> str:
    kinds = sorted({one.kind for one in found})
    rows = []
    for kind in kinds:
        true = [one for one in found if one.kind == kind]
        called = [one for one in found if one.called == kind and one.is_decided]
        right = sum(one.kind == kind for one in called)
        wrong = [one for one in true if one.is_decided and one.called != kind]
        names = dict.fromkeys(one.called for one in wrong)
        mistaken = ", ".join(f"{sum(o.called == n for o in wrong)} {n}" for n in names)
        rows.append(
            [
                kind,
                str(len(true)),
                _share(right, len(called)),
                _share(right, len(true)),
                str(len(wrong)),
                mistaken,
            ]
        )
    return _table(["class", "spectra", "precision", "recall", "confidently wrong", "as"], rows)


Chosen = Callable[[Outcome], bool]


def _within(limits: tuple[float, float]) -> Chosen:
    return lambda one: limits[0] <= one.snr < limits[1]


def _with_fault(fault: str) -> Chosen:
    return lambda one: one.fault == fault


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g}" if limits[1] < 1e8 else f"above {limits[0]:g}"


def _by(found: Sequence[Outcome], groups: Sequence[tuple[str, Chosen]]) -> str:
    rows = []
    for name, chosen in groups:
        members = [one for one in found if chosen(one)]
        true = [one for one in members if one.kind == "DA"]
        if not true:
            continue
        called = [one for one in members if one.called == "DA" and one.is_decided]
        right = sum(one.kind == "DA" for one in called)
        refused = sum(one.called == REFUSED for one in true)
        wrong = sum(one.is_decided and one.called != "DA" for one in true)
        open_ = len(true) - right - refused - wrong
        rows.append(
            [
                name,
                str(len(true)),
                _share(right, len(called)),
                _share(right, len(true)),
                str(open_),
                str(wrong),
                str(refused),
            ]
        )
    return _table(["", "DA", "precision", "recall", "undecided", "confidently wrong", "refused"], rows)


def _has_parameters(one: Outcome) -> bool:
    return one.kind == "DA" and one.truth["teff"] is not None and one.visit["teff"] is not None


def _differences(found: Sequence[Outcome], name: str, fit: str) -> tuple[Floats, Floats]:
    """Fitted less true values (relative ones for teff), and those over their errors, of fits without a flag."""
    away, pulls = [], []
    for one in found:
        values = one.visit if fit == "visit" else one.star
        flags = one.visit_flags if fit == "visit" else one.flags
        value, error, true = values.get(name), values.get(f"e_{name}"), one.truth[name]
        if one.kind != "DA" or value is None or error is None or true is None or flags & UNRELIABLE:
            continue
        total = float(np.hypot(error, (one.truth["e_v_rad"] or 0.0) if name == "v_rad" else 0.0))
        away.append((value - true) / (true if name == "teff" else 1.0))
        pulls.append((value - true) / total)
    return np.array(away), np.array(pulls)


def _robust(values: Floats) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def _parameters(found: Sequence[Outcome]) -> str:
    groups: list[tuple[str, Chosen]] = [(f"S/N {_range(b)}", _within(b)) for b in SNR_BINS]
    for low, high in TEFF_BINS:
        groups.append((f"{low:.0f} to {high:.0f} K, S/N above 12", _of_teff(low, high)))
    rows = []
    for title, chosen in groups:
        members = [one for one in found if one.fault == "none" and chosen(one)]
        cells = []
        for fit, name, form in (
            ("visit", "v_rad", "{:+.1f} ± {:.1f} km/s"),
            ("star", "teff", "{:+.1%} ± {:.1%}"),
            ("star", "logg", "{:+.3f} ± {:.3f}"),
            ("visit", "teff", "{:+.1%} ± {:.1%}"),
            ("visit", "logg", "{:+.3f} ± {:.3f}"),
        ):
            away, pulls = _differences(members, name, fit)
            if len(away) < FEWEST:
                cells += ["-", "-"]
            else:
                cells += [form.format(*_robust(away)), f"{_robust(pulls)[1]:.2f}"]
        if set(cells) != {"-"}:
            rows.append([title, str(sum(_has_parameters(one) for one in members)), *cells])
    if not rows:
        return ""
    flagged = [one for one in found if _has_parameters(one) and one.fault == "none"]
    unflagged = [
        one
        for one in flagged
        if not one.visit_flags & UNRELIABLE
        and abs((one.visit["teff"] or 0.0) / (one.truth["teff"] or 1.0) - 1.0) > 0.15
        and one.snr > 8
    ]
    header = [
        "",
        "DA",
        "Corv v",
        "pull",
        "SnowWhite Teff",
        "pull",
        "logg",
        "pull",
        "Corv Teff",
        "pull",
        "logg",
        "pull",
    ]
    return "\n\n".join(
        [
            "### Parameters of DA, without faults",
            EXPLANATION,
            _table(header, rows),
            f"Temperatures wrong by more than 15 % without a flag, S/N above 8: {len(unflagged)} of {len(flagged)}.",
        ]
    )


def _of_teff(low: float, high: float) -> Chosen:
    return lambda one: one.snr > 12 and low <= (one.truth["teff"] or -1.0) < high


def _listed(found: Sequence[Outcome]) -> str:
    rows = [
        [
            one.origin,
            one.kind,
            f"{one.snr:.0f}",
            one.called,
            f"{one.probability:.2f}",
            " ".join(sorted(one.flags)),
        ]
        for one in found
        if one.fault == "none" and one.called != one.kind
    ]
    if not rows:
        return ""
    header = ["folder", "type", "S/N", "called", "probability", "flags"]
    return "\n\n".join(["### Without fault, not called by their type", _table(header, rows)])


def _picture_of_reliability(found: Sequence[Outcome], path: Path) -> None:
    """How often DA are DA against the probability that says so."""
    stated = np.array([one.star["p_da"] or 0.0 for one in found if one.called != REFUSED])
    true = np.array([one.kind == "DA" for one in found if one.called != REFUSED])
    edges = np.array([0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0001])
    figure, axes = _figure(1)
    axis = axes[0]
    axis.plot([0, 1], [0, 1], color="0.7")
    for low, high in itertools.pairwise(edges):
        inside = (stated >= low) & (stated < high)
        if inside.sum() < FEWEST:
            continue
        share = float(true[inside].mean())
        error = float(np.sqrt(max(share * (1 - share), 0.25 / inside.sum()) / inside.sum()))
        axis.errorbar(float(stated[inside].mean()), share, error, fmt="o", color="C0")
    axis.set_xlabel("probability of DA")
    axis.set_ylabel("share that is DA")
    _save(figure, path)


def _picture_of_parameters(found: Sequence[Outcome], path: Path) -> None:
    figure, axes = _figure(3)
    good = [one for one in found if _has_parameters(one) and one.fault == "none"]
    colours = ["C3" if one.visit_flags & UNRELIABLE else "C0" for one in good]
    snr = [one.snr for one in good]
    for axis, name, label in zip(
        axes, ("v_rad", "teff", "logg"), ("velocity [km/s]", "Teff, relative", "logg [dex]"), strict=True
    ):
        away = [_away(one, name) for one in good]
        axis.scatter(snr, away, s=6, c=colours)
        axis.axhline(0.0, color="0.7")
        axis.set_xscale("log")
        axis.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
        axis.xaxis.minorticks_off()
        axis.set_ylim(*{"v_rad": (-150, 150), "teff": (-0.5, 0.8), "logg": (-0.8, 0.8)}[name])
        axis.set_xlabel("S/N")
        axis.set_ylabel(f"Corv less truth: {label}")
    _save(figure, path)


def _away(one: Outcome, name: str) -> float:
    """Corv's value less the true one, relative for teff; NaN where one of them is not known."""
    value, true = one.visit[name], one.truth[name]
    if value is None or true is None:
        return float("nan")
    return (value - true) / (true if name == "teff" else 1.0)


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * panels, 3.6), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=90, format="png", metadata={"Software": None})
