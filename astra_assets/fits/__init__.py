"""FITS files: column formats, headers, the streaming writer, and the only readers."""
