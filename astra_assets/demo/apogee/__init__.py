"""The APOGEE part of the demo survey: who is observed when, spectra in the H band, and the reduction's files.

Fields, nights and photometry are shared with the BOSS part (`demo.sky`, `demo.population`, `demo.photometry`).
"""
