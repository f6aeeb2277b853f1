"""The page beside a product that says what is in it: columns with units and meaning, flags, rows, how to open it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from astra_assets.fits.formats import FitsColumn
from astra_assets.models.describe import fill_text
from astra_assets.products.bundle import Bundle, summary_path
from astra_assets.products.rows import MeasuredTable
from astra_assets.products.summary import SummaryProduct, flags_of
from astra_assets.text import markdown_table

_COLUMN_HEAD = ("column", "format", "unit", "UCD", "meaning", "NULL is written as")
_PRIMARY_HDU = "| 0 | | | Summary information only | | |"
_WITHOUT_NULL = frozenset({"pk", "spectrum_pk", "sdss_id"})


def page(
    product: SummaryProduct, v_astra: str, fingerprint: str, tables: Sequence[MeasuredTable], files: Bundle
) -> str:
    """Return the page as Markdown. The same rows give the same text."""
    hdus = markdown_table(
        ("HDU", "rows", "columns", "content", "key", "Parquet"),
        (
            (
                number,
                f"{each.rows:,}",
                len(each.columns),
                each.table.description,
                each.table.key,
                f"`{path.name}`",
            )
            for number, (each, path) in enumerate(zip(tables, files.parquet, strict=True), start=1)
        ),
    )
    hdus.insert(2, _PRIMARY_HDU)
    lines = [
        f"# {product.name} {v_astra}",
        "",
        f"{product.description}. {_rows_text(product)}",
        "",
        f"- Path: `$MWM_ASTRA/{summary_path(product.name, '{v_astra}')}`",
        f"- Files made from the same rows: {', '.join(f'`{path.name}`' for path in (files.fits, *files.parquet))}",
        f"- Sample: `{files.sample.name}`, at most 1,000 rows of each table, of the same stars in every product",
        f"- Fingerprint of the inputs (`FPRINT`): `{fingerprint}`",
        "",
        *hdus,
    ]
    lines += ["", *_recipes(tables, files)]
    for number, described in enumerate(tables, start=1):
        lines += ["", f"## HDU {number}: {described.table.description}", *_columns(described.columns)]
    lines += _flag_lines(product)
    return "\n".join(lines) + "\n"


def _rows_text(product: SummaryProduct) -> str:
    """Which rows there are, and in what order."""
    rules = []
    if product.stellar_like:
        rules.append(
            "rows are of sources in a carton of the Milky Way Mapper or a like program, with at least one visit"
        )
    if product.coadds_of_version:
        rules.append("BOSS coadds are those of this minor version")
    if product.result is not None:
        rules.append("every result of this minor version is a row")
    keys = sorted({table.key for table in product.tables})
    rules.append(f"rows are ordered by `{keys[0]}`, which occurs once")
    text = "; ".join(rules)
    return text[0].upper() + text[1:] + "."


def _recipes(tables: Sequence[MeasuredTable], files: Bundle) -> list[str]:
    number = next((number for number, each in enumerate(tables, start=1) if each.rows), 1)
    return [
        "```python",
        "from astropy.table import Table",
        f'rows = Table.read("{files.fits.name}", hdu={number})  # columns have units',
        "",
        "import polars",
        f'frame = polars.scan_parquet("{files.parquet[number - 1].name}")  # reads only the columns that are asked for',
        "```",
        "",
        f"TOPCAT opens `{files.fits.name}` as it is and shows units, UCDs and descriptions (Views, Column Info).",
    ]


def _columns(columns: Sequence[FitsColumn]) -> Iterator[str]:
    for heading, described in groupby(columns, key=lambda column: column.heading):
        yield from ("", f"**{heading or 'Keys'}**", "")
        yield from markdown_table(_COLUMN_HEAD, map(_cells, described))


def _cells(column: FitsColumn) -> tuple[str, ...]:
    about = column.definition
    fill = "" if column.name in _WITHOUT_NULL else fill_text(about.null_value)
    return (column.name, column.tform, about.unit or "", about.ucd or "", about.description, fill)


def _flag_lines(product: SummaryProduct) -> Iterator[str]:
    for name, bits in flags_of(product).items():
        if bits:
            yield from ("", f"## Bits of `{name}`", "")
            yield from markdown_table(
                ("bit", "name", "meaning"), ((flag.bit, flag.name, flag.text) for flag in bits)
            )
