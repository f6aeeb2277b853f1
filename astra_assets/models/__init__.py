"""The database layer: tables, the column registry, flags, paths and versions.

Nothing is imported here; import the module that is needed (`astra_assets.models.source`, ...). This layer
imports nothing else of ours.
"""
