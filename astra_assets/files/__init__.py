"""Ground floor: files that appear whole or not at all, locks, compression, checksums, and where files are."""
