"""Pixels: reading spectra, common grids, rest frame, resampling, stacking, mwmVisit and mwmStar files."""
