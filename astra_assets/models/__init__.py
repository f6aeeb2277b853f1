"""The tables of the database: those of Astra, and those of our engine and ingestion."""
