"""Catalogues of sources, and the columns of a source that follow from others."""
