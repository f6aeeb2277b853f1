"""The physics of synthetic spectra: atmospheres of one layer, lines, continua, and how BOSS records them.

What is drawn at random and by which name is in `templates.py`, the only module that others need. Real model
atmospheres (the DA grid) are in `white_dwarf/grid.py`.
"""
