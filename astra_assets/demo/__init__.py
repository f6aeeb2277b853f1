"""A small synthetic survey in the real SDSS file formats, with a table of the truth.

Sources, nights and spectra are invented here; the physics of the spectra is in `synthesis`.
"""
