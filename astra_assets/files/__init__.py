"""Ground floor: files that appear whole or not at all, locks, compression, checksums, tables of text, and where files are."""
