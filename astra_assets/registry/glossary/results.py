"""Columns that results of pipelines share: parameters, classes, quality, and how the result was made."""

from __future__ import annotations

from astra_assets.registry.kinds import Definition, Kind

RUN = {
    "t_elapsed": Definition(
        Kind.float32, "Time spent on this result, overhead included", "s", "time.duration"
    ),
    "t_overhead": Definition(Kind.float32, "Mean overhead per result", "s", "time.duration"),
    "tag": Definition(Kind.text, "Free label of an experiment", ucd="meta.note"),
    "flags": Definition(Kind.bits, "What became of the files of the source", ucd="meta.code.status"),
    "result_flags": Definition(Kind.bits, "Flags of the result", ucd="meta.code.qual"),
}

PARAMETERS = {
    "teff": Definition(Kind.float32, "Effective temperature", "K", "phys.temperature.effective"),
    "logg": Definition(Kind.float32, "Surface gravity, log10 of cm/s2", None, "phys.gravity"),
    "fe_h": Definition(Kind.float32, "[Fe/H], dex", None, "phys.abund.Fe"),
    "chi2": Definition(Kind.float32, "Chi-square", ucd="stat.fit.chi2"),
    "rchi2": Definition(Kind.float32, "Reduced chi-square", ucd="stat.fit.chi2"),
}

WHITE_DWARF_CLASSES = {
    "cv": "a cataclysmic variable",
    "da": "DA",
    "dab": "DAB",
    "dabz": "DABZ",
    "dah": "DAH (magnetic, hydrogen)",
    "dahe": "DAHe (magnetic, hydrogen in emission)",
    "dao": "DAO",
    "daz": "DAZ",
    "da_ms": "DA with a main-sequence companion",
    "db": "DB",
    "dba": "DBA",
    "dbaz": "DBAZ",
    "dbh": "DBH (magnetic, helium)",
    "dbz": "DBZ",
    "db_ms": "DB with a main-sequence companion",
    "dc": "DC",
    "dc_ms": "DC with a main-sequence companion",
    "do": "DO",
    "dq": "DQ",
    "dqz": "DQZ",
    "dqpec": "peculiar DQ",
    "dz": "DZ",
    "dza": "DZA",
    "dzb": "DZB",
    "dzba": "DZBA",
    "mwd": "a magnetic white dwarf",
    "hotdq": "hot DQ",
}
"""The 27 classes of the columns p_* of SnowWhite and how they are called in descriptions, in the order of the
table."""

CLASSES = {"classification": Definition(Kind.text, "Class", ucd="src.class")} | {
    f"p_{name}": Definition(
        Kind.float32, f"Probability that the class is {text}", ucd="stat.probability;src.class"
    )
    for name, text in WHITE_DWARF_CLASSES.items()
}

RESULTS = RUN | PARAMETERS | CLASSES
