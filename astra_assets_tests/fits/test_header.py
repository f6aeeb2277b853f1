"""Cards as the FITS standard has them, and the layout of table headers."""

from __future__ import annotations

import astropy.io.fits
import pytest

from astra_assets.fits.formats import FitsColumn
from astra_assets.fits.header import Card, HeaderError, column_cards, render, section
from astra_assets.registry.kinds import Definition, Kind


@pytest.mark.parametrize(
    "card",
    [
        Card("V_ASTRA", "0.8.1", "Astra version"),
        Card("PIPELINE", "it's"),
        Card("LONG", "x" * 68),
        Card("TTYPE123", "sdss4_apogee_extra_target_flags", "SDSS4 target info"),
        Card("NAXIS", 2, "number of array dimensions"),
        Card("CRVAL", 3.5523),
        Card("SMALL", 1e-30, "a small number"),
        Card("EXTEND", True),
        Card("T", False, "no"),
    ],
)
def test_cards_read_back_in_astropy(card):
    read = astropy.io.fits.Card.fromstring(card.render())
    read.verify("exception")
    assert (read.keyword, read.value, read.comment) == (card.keyword, card.value, card.comment)


def test_a_comment_that_does_not_fit_is_cut_and_the_value_is_not():
    card = Card("TTYPE1", "sdss4_apogee_extra_target_flags", "c" * 60).render()
    assert len(card) == 80
    assert card.startswith(b"TTYPE1  = 'sdss4_apogee_extra_target_flags' / ccc")


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (Card("TAG", ""), "needs a value"),
        (Card("TAG", "  "), "needs a value"),
        (Card("TAG", "x" * 69), "longer than the 68"),
        (Card("TAG", "é"), "printable ASCII"),
        (Card("TAG", "a\nb"), "printable ASCII"),
        (Card("TOOLONGKEY", 1), "no FITS keyword"),
        (Card("lower", 1), "no FITS keyword"),
        (Card("X", float("nan")), "no FITS number"),
        (Card("COMMENT", "x" * 73), "longer than a card"),
    ],
)
def test_cards_that_fits_does_not_allow_are_refused(card, reason):
    with pytest.raises(HeaderError, match=reason):
        card.render()


def test_a_header_is_whole_blocks_and_ends_with_end():
    text = render([*section("Metadata"), Card("V_ASTRA", "0.8.1")])
    assert len(text) == 2880
    assert text[4 * 80 :].strip() == b"END"


def test_one_and_true_are_different_cards():
    text = render([Card("EXTEND", True), Card("EXTEND", 1)])
    assert (text[29:30], text[109:110]) == (b"T", b"1")


def column(
    name: str, kind: Kind, heading: str | None, unit: str | None = None, *, width: int = 1, note=None
) -> FitsColumn:
    return FitsColumn(name, Definition(kind, f"About {name}", unit, "meta.id"), width, heading, note)


def test_columns_stand_below_their_heading_with_unit_and_the_note_last():
    columns = [
        column("ra", Kind.float64, "Astrometry", "deg"),
        column("j_mag", Kind.float32, "2MASS Photometry", "mag", note="See https://example.org"),
        column("ph_qual", Kind.text, "2MASS Photometry", width=3, note="See https://example.org"),
        column("delta_ra", Kind.floats, "Observing Conditions", "arcsec", width=5),
    ]
    lines = [card.render().decode().rstrip() for card in column_cards(columns)]
    assert lines == [
        "",
        "        Astrometry",
        "",
        "TTYPE1  = 'ra      '           / About ra",
        "TFORM1  = 'D       '",
        "TUNIT1  = 'deg     '",
        "",
        "        2MASS Photometry",
        "",
        "TTYPE2  = 'j_mag   '           / About j_mag",
        "TFORM2  = 'E       '",
        "TUNIT2  = 'mag     '",
        "TTYPE3  = 'ph_qual '           / About ph_qual",
        "TFORM3  = '3A      '",
        "COMMENT See https://example.org",
        "",
        "        Observing Conditions",
        "",
        "TTYPE4  = 'delta_ra'           / About delta_ra",
        "TFORM4  = '5E      '",
        "TDIM4   = '(5)     '",
        "TUNIT4  = 'arcsec  '",
        *[f"TUCD{n}   = 'meta.id '" for n in range(1, 5)],
        "TCOMM1  = 'About ra'",
        "TCOMM2  = 'About j_mag'",
        "TCOMM3  = 'About ph_qual'",
        "TCOMM4  = 'About delta_ra'",
    ]
