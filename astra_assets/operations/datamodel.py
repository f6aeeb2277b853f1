"""`datamodel`: what the columns of tables mean."""

from __future__ import annotations

from collections.abc import Collection

from astra_assets.operations.deployment import OperationError
from astra_assets.operations.tables import all_tables


def datamodel(tables: Collection[str] = ()) -> str:
    """Describe tables as Markdown: columns, types, units, UCDs, fill values and flags; all tables by default.

    Raises:
        OperationError: there is no table of one of these names; the message lists those that exist.
    """
    from astra_assets.models.describe import describe

    known = all_tables()
    unknown = [name for name in tables if name not in known]
    if unknown:
        raise OperationError(f"no table {', '.join(unknown)}; there are: {', '.join(known)}")
    return "\n".join(describe(known[name]) for name in tables or known)
