"""`python -m astra_assets.cli`, where the command `astra-assets` is not installed."""

from astra_assets.cli import main

main()
