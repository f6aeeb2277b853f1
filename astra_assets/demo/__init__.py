"""A small synthetic survey in the real SDSS file formats, with a table of the truth.

Belongs here: inventing sources, nights and spectra, and writing the files that a survey starts from. Does not
belong here: reading those files (`ingest`, `spectra`) and the physics of the spectra
(`pipelines.white_dwarf.templates`).
"""
