"""The files of an APOGEE reduction: allVisit, allStar, and the headers of apVisit and apStar files."""
