"""The page beside a product that says what is in it: columns with units and meaning, flags, rows, how to open it.

Belongs here: the text, from the registry of columns. Does not belong here: definitions (`models.glossary`), pages of
database tables (`models.describe`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from astra_assets.files.paths import summary_path
from astra_assets.fits.formats import FitsColumn
from astra_assets.models.base import layout
from astra_assets.models.describe import fill_text
from astra_assets.products.bundle import Bundle
from astra_assets.products.summary import SummaryProduct, SummaryTable
from astra_assets.registry.columns import info
from astra_assets.registry.flags import Flag
from astra_assets.registry.kinds import Kind

COLUMN_HEAD = (
    "| column | format | unit | UCD | meaning | NULL is written as |",
    "| --- | --- | --- | --- | --- | --- |",
)
_WITHOUT_NULL = frozenset({"pk", "spectrum_pk", "sdss_id"})


@dataclass(frozen=True)
class DescribedTable:
    """A table HDU as it was written."""

    table: SummaryTable
    columns: Sequence[FitsColumn]
    rows: int


def page(
    product: SummaryProduct, v_astra: str, fingerprint: str, tables: Sequence[DescribedTable], files: Bundle
) -> str:
    """The page as Markdown. The same rows give the same text."""
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
        "| HDU | rows | columns | content | key | Parquet |",
        "| --- | --- | --- | --- | --- | --- |",
        "| 0 | | | Summary information only | | |",
    ]
    for number, described in enumerate(tables, start=1):
        lines.append(
            f"| {number} | {described.rows:,} | {len(described.columns)} | {described.table.description} "
            f"| {product.key(described.table)} | `{files.parquet[number - 1].name}` |"
        )
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
    keys = sorted({product.key(table) for table in product.tables})
    rules.append(f"rows are ordered by `{keys[0]}`, which occurs once")
    text = "; ".join(rules)
    return text[0].upper() + text[1:] + "."


def _recipes(tables: Sequence[DescribedTable], files: Bundle) -> list[str]:
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
    heading: str | None = ""
    for column in columns:
        if column.heading != heading:
            heading = column.heading
            yield from ("", f"**{heading or 'Keys'}**", "", *COLUMN_HEAD)
        about = column.definition
        fill = "" if column.name in _WITHOUT_NULL else fill_text(about.null_value)
        cells = (column.name, column.tform, about.unit or "", about.ucd or "", about.description, fill)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def flags_of(product: SummaryProduct) -> dict[str, tuple[Flag, ...]]:
    """The named bits of each flag column of a product, by the name of the column in its files."""
    found: dict[str, tuple[Flag, ...]] = {}
    for table in product.tables:
        for model in product.models(table):
            for entry in layout(model):
                if entry.column is not None and entry.definition.kind is Kind.bits:
                    about = info(entry.column)
                    found[about.summary_name] = found.get(about.summary_name) or about.flags
    return found


def _flag_lines(product: SummaryProduct) -> Iterator[str]:
    for name, bits in flags_of(product).items():
        if bits:
            yield from ("", f"## Bits of `{name}`", "", "| bit | name | meaning |", "| --- | --- | --- |")
            yield from (f"| {flag.bit} | {flag.name} | {flag.text.replace('|', '/')} |" for flag in bits)
