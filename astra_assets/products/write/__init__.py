"""Writing a product: its rows and columns, its files, their headers and fingerprints."""
