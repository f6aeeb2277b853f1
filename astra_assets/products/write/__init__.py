"""Writing the tables of a product: one pass over the rows of the database into all files that show them."""
