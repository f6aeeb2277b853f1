"""The connection to SQLite or PostgreSQL: engines, bulk writes, Arrow batches, and the tables that a database has."""
