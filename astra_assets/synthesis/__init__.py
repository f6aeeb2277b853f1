"""Model spectra, templates and the training of the classifier, for the demo survey and for validation.

Atmospheres of one layer, lines and continua, and how BOSS records them. `templates` draws a random object of a kind;
`h_band` has the stars of APOGEE. The real model atmospheres (the DA grid) belong to the pipelines that fit with them.
"""
