"""FITS files: column formats, headers, the streaming writer, and files that appear whole or not at all.

A leaf: it knows the kinds of columns (`models.kinds`) and nothing about tables, products or spectra. Nothing
is imported here.
"""
