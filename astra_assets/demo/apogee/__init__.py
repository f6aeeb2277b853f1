"""The APOGEE part of the demo survey: who is observed when, spectra in the H band, and the reduction's files.

Belongs here: what differs from the BOSS part. Does not belong here: fields, nights and photometry, which both share
(`demo.sky`, `demo.population`, `demo.photometry`).
"""
