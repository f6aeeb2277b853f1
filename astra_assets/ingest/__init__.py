"""Files of the reduction and of catalogues become rows of the database."""
