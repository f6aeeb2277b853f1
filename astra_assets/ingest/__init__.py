"""Files of the reduction and of catalogues become rows of the database.

Belongs here: reading spAll, catalogues and specFull headers, comparing them with the rows that exist, linking
spectra to sources, and the columns that follow from others. Does not belong here: pixels (`spectra`), what a
column means (`models`).
"""
