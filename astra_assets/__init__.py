"""astra_assets: the products of Astra (SDSS-V Milky Way Mapper) as Dagster assets.

This file holds the package's version and nothing else; it imports nothing, so that importing one layer never pulls in another.
"""

__version__ = "0.1.0"
