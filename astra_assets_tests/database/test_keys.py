"""Lists of keys are cut into pieces that fit into one query."""

from __future__ import annotations

from sqlalchemy import bindparam, create_engine, literal, select

from astra_assets.database import keys


def test_pieces_have_all_keys_in_their_order():
    wanted = list(range(2 * keys.KEYS_AT_ONCE + 1))
    cut = list(keys.pieces(wanted))
    assert [len(piece) for piece in cut] == [keys.KEYS_AT_ONCE, keys.KEYS_AT_ONCE, 1]
    assert [key for piece in cut for key in piece] == wanted


def test_no_keys_are_no_piece():
    assert list(keys.pieces([])) == []


def test_sqlite_takes_a_whole_piece_in_one_query():
    query = select(literal(1)).where(literal(7).in_(bindparam("some", expanding=True)))
    with create_engine("sqlite://").connect() as connection:
        assert connection.execute(query, {"some": list(range(keys.KEYS_AT_ONCE))}).scalar() == 1
