"""Looking at a version that is on disk: are its files those that were written, and do they fit together?

What is checked before a file gets its name is in `check/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astra_assets.files import sha256sums
from astra_assets.fits.checksum import WordSum
from astra_assets.fits.errors import UnsoundFileError
from astra_assets.fits.read_back import Blocks, ReadTable, check_sums, next_header, read_header
from astra_assets.products.bundle import Bundle, bundle_of, product_path
from astra_assets.products.headers import mark_of, written_rows
from astra_assets.products.release import frozen
from astra_assets.products.summary import SummaryProduct
from astra_assets.products.write.parquet import CONTENT_KEY

THREADS = min(32, 4 * (cpu_count() or 1))
"""Files that are read at a time; on a network file system reading waits more than it works."""


@dataclass(frozen=True)
class Audited:
    """What was found of one product.

    Attributes:
        name: of the product, or of a kind of per-source file.
        path: of its FITS file, or the folder of many.
        files: how many files were looked at.
        rows: of each table HDU; of per-source files their number.
        problems: what is not as it should be; empty when all is well.
    """

    name: str
    path: Path
    files: int
    rows: tuple[int, ...]
    problems: tuple[str, ...]


def audit_product(product: SummaryProduct, v_astra: str, mwm_astra: Path) -> Audited:
    """Check the files of a product against SHA256SUMS, their own checksums and each other."""
    files = bundle_of(product, product_path(product, v_astra=v_astra, mwm_astra=mwm_astra))
    present = [path for path in files.wanted if path.exists()]
    problems = [f"{path.name} is not there" for path in files.wanted if path not in present]
    if files.fits in present:
        digest, found = audit_fits(files.fits)
        digests = {files.fits.name: digest} | {
            path.name: sha256sums.sha256(path) for path in present if path != files.fits
        }
        rows = written_rows(product, files.fits)
        if tuple(found.rows) != rows:
            problems.append(f"{files.fits.name}: NROWS cards say {rows}, the tables have {tuple(found.rows)}")
        problems += found.problems
        problems += _against("SHA256SUMS", digests, sha256sums.read(files.fits.parent))
        problems += _against_marker(mwm_astra / v_astra, digests)
        problems += _companion_problems(files, rows, present)
        return Audited(product.name, files.fits, len(present), rows, tuple(problems))
    return Audited(product.name, files.fits, len(present), (), tuple(problems))


OTHERS = "other files"
"""What files of the folder of summaries are called that belong to none of the products that are looked at."""


def audit_others(products: Iterable[SummaryProduct], v_astra: str, mwm_astra: Path) -> Audited:
    """Check the summary files that belong to none of `products`: samples, and whatever else lies there.

    What SHA256SUMS lists is as it was. Of a frozen version all is there that FROZEN lists, and nothing else.
    """
    folder = mwm_astra / v_astra / "summary"
    listed = frozen_files(mwm_astra / v_astra, "summary")
    seen = {
        path.name
        for product in products
        for path in bundle_of(product, product_path(product, v_astra=v_astra, mwm_astra=mwm_astra)).wanted
    } | ({sha256sums.NAME} if listed is None else set())
    present = [] if not folder.is_dir() else sorted(folder.iterdir())
    digests = {
        path.name: sha256sums.sha256(path)
        for path in present
        if path.name not in seen and not path.name.startswith(".")
    }
    recorded = sha256sums.read(folder)
    known = {name: digest for name, digest in digests.items() if name in recorded}
    problems = list(_against(sha256sums.NAME, known, recorded))
    if listed is not None:
        problems += _against(frozen.NAME, digests, listed)
        problems += [f"{name} is not there" for name in listed if name not in {*digests, *seen}]
    return Audited(OTHERS, folder, len(digests), (), tuple(problems))


def frozen_files(folder: Path, part: frozen.Part) -> dict[str, str] | None:
    """Read the checksum by file name of a part of a version, whose folder is given; None where it is not frozen."""
    marker = frozen.read_marker(folder)
    if marker is None or not marker.complete or part not in marker.parts:
        return None
    listed = sha256sums.read_lines(folder / frozen.NAME)
    return {name.removeprefix(f"{part}/"): listed[name] for name in listed if name.startswith(f"{part}/")}


def _against(where: str, digests: Mapping[str, str], recorded: Mapping[str, str]) -> Iterator[str]:
    for name, digest in digests.items():
        if name not in recorded:
            yield f"{name} is not in {where}"
        elif recorded[name] != digest:
            yield f"{name}: its checksum is not the one in {where}: it was changed or damaged after it was written"


def _against_marker(folder: Path, digests: Mapping[str, str]) -> list[str]:
    listed = frozen_files(folder, "summary")
    return [] if listed is None else list(_against(frozen.NAME, digests, listed))


def _companion_problems(files: Bundle, rows: Sequence[int], present: Sequence[Path]) -> Iterator[str]:
    mark = mark_of(files.fits)
    for path, count in zip(files.parquet, rows, strict=False):
        if path not in present:
            continue
        try:
            metadata = pq.read_metadata(path)
        except (OSError, pa.ArrowException) as error:
            yield f"{path.name} is no Parquet file: {error}"
            continue
        if metadata.num_rows != count:
            yield f"{path.name} has {metadata.num_rows:,} rows, the FITS table {count:,}"
        content = (metadata.metadata or {}).get(CONTENT_KEY.encode(), b"")
        if mark is not None and mark.encode() not in content:
            yield f"{path.name} was made from other inputs than {files.fits.name}"
    for path in (files.sample, files.plain, files.tiles):
        if path in present and mark is not None and mark_of(path) != mark:
            yield f"{path.name} was made from other inputs than {files.fits.name}"


@dataclass(frozen=True)
class _Found:
    rows: list[int]
    problems: list[str]


def audit_fits(path: Path) -> tuple[str, _Found]:
    """Return the checksum of a FITS file, the rows of its tables, and what is wrong with its own checksums."""
    blocks = Blocks(path)
    found = _Found([], [])
    try:
        check_sums(read_header(blocks), WordSum())
        while (header := next_header(blocks)) is not None:
            table = ReadTable(blocks, header)
            found.rows.append(table.rows)
            for _ in table.chunks(np.dtype((np.void, max(table.row_bytes, 1)))):
                pass
    except (UnsoundFileError, KeyError) as error:
        found.problems.append(f"{path.name}, HDU {len(found.rows)}: {error}")
        return sha256sums.sha256(path), found
    return blocks.sha256, found


def audit_sources(of: str, kind: str, v_astra: str, mwm_astra: Path) -> Audited:
    """Check the per-source files of `spectra` or of `results`, of a kind, `star` or `visit`.

    Those of a frozen version against the checksums that were taken then, others by the checksums in their headers.
    """
    folder = mwm_astra / v_astra / of / kind
    marker = frozen.read_marker(mwm_astra / v_astra)
    listed = (
        sha256sums.read_lines(mwm_astra / v_astra / frozen.NAME)
        if marker is not None and marker.complete and "spectra" in marker.parts
        else None
    )
    problems: list[str] = []
    files = 0
    groups = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if listed is not None:
        start = f"{of}/{kind}/"
        gone = {Path(name).parent.name for name in listed if name.startswith(start)} - {
            each.name for each in groups
        }
        problems += [f"{folder / name} is not there" for name in sorted(gone)]
    with ThreadPoolExecutor(THREADS) as pool:
        for group in groups:
            paths = sorted(path for path in group.rglob("*.fits") if not path.name.startswith("."))
            files += len(paths)
            if listed is None:
                problems += [text for found in pool.map(_fits_problems, paths) for text in found]
            else:
                problems += _group_problems(
                    group, f"{of}/{kind}/{group.name}/{sha256sums.NAME}", listed, paths, pool
                )
    name = "mwm" if of == "spectra" else "astra"
    return Audited(f"{name}{kind.capitalize()}", folder, files, (files,), tuple(problems))


def _fits_problems(path: Path) -> list[str]:
    return [f"{path.parent}/{text}" for text in audit_fits(path)[1].problems]


def _group_problems(
    group: Path, name: str, listed: Mapping[str, str], paths: Sequence[Path], pool: ThreadPoolExecutor
) -> list[str]:
    own = group / sha256sums.NAME
    if not own.exists() or listed.get(name) != sha256sums.sha256(own):
        return [f"{own} is not the one that {frozen.NAME} lists"]
    recorded = sha256sums.read(group)
    names = [path.relative_to(group).as_posix() for path in paths]
    digests = dict(zip(names, pool.map(sha256sums.sha256, paths), strict=True))
    problems = [f"{group / name} is not there" for name in recorded if name not in digests]
    return problems + [f"{group}/{text}" for text in _against(sha256sums.NAME, digests, recorded)]
