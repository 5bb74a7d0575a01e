"""What waits in the temporary file comes back in order, whatever is forgotten on the way."""

from hypothesis import given
from hypothesis import strategies as st

from prefloop.web.exchange.spool import Row, Spool


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), max_size=40), st.sampled_from("abcd"))
def test_rows_come_back_as_a_list_would_give_them(named: list[tuple[str, str]], forgotten: str):
    rows = [Row(name, mark, f"f:{n}", b"%d" % n) for n, (name, mark) in enumerate(named)]
    with Spool() as spool:
        for row in rows:
            spool.add(row)
        assert len(spool) == len(rows)
        assert list(spool.each()) == rows
        assert spool.marks() == list(dict.fromkeys(row.mark for row in rows))
        names = dict.fromkeys(row.name for row in rows)
        assert list(spool.together()) == [[row for row in rows if row.name == name] for name in names]
        for name in "abcd":
            assert spool.first(name) == next((row for row in rows if row.name == name), None)
            assert spool.first(name, "x") == next((row for row in rows if (row.name, row.mark) == (name, "x")), None)
        left = []
        for row in spool.each(values=False):
            left.append(row.place)
            spool.drop(forgotten)
        assert [row for row in rows if row.name != forgotten] == list(spool.each())
        assert {row.place for row in rows if row.name != forgotten} <= set(left)
