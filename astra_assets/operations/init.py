"""`init`: create the tables that are missing."""

from __future__ import annotations

from astra_assets.operations.deployment import Deployment, Say
from astra_assets.operations.tables import declare_tables


def init(deployment: Deployment, say: Say) -> list[str]:
    """Create the tables that are missing, and return their names."""
    declare_tables()
    database = deployment.database
    created = database.create_tables()
    if created:
        place = f", schema {database.own_schema}" if database.foreign else ""
        say(f"created {len(created)} tables in {database.location}{place}")
    return created
