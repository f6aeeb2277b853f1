"""What the tables of spectra share: the table that hands out their keys, and fields that several of them have."""

from __future__ import annotations

from astra_assets.models.base import Base, table
from astra_assets.models.fields import Field, Heading, field, heading, primary_key


class SpectrumKey(Base):
    """One row per spectrum of any kind; its key is the `spectrum_pk` of that spectrum everywhere else."""

    __table__ = table("spectrum", primary_key(), field("spectrum_flags", flags=()))


def required(*names: str) -> tuple[Field, ...]:
    """Return fields that are never NULL."""
    return tuple(field(name, nullable=False) for name in names)


def file_type(name: str) -> Field:
    """Return the field for the type of file that holds the spectra of a table."""
    return field("filetype", nullable=False, default=name)


def astra_keywords(name: str) -> Heading:
    """Return the keywords of spectra in files of type `name` that Astra makes."""
    return heading(
        "Data Product Keywords",
        field("release", nullable=False, index=True),
        file_type(name),
        field("v_astra", meaning="v_astra_text", nullable=False),
        "healpix",
        field("sdss_id", nullable=False, index=True),
    )


def nmf(*pixels: str) -> Heading:
    """Return the columns of the continuum model."""
    return heading("NMF Continuum Model", *pixels, "nmf_rchi2", "nmf_flags")
