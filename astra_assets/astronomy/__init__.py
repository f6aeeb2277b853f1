"""Constants, observatories, and positions on the sky: numbers and formulas that know of no file and no table."""
