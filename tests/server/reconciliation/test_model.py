"""The neutral statement: its verdict, and how an entry is known again (reconciliation.model)."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold_server.reconciliation.statements import Statement, read_statements
from tests.server.reconciliation.statement_files import DAY, Entry, Plan, camt053, daily, mt940

TWINS = st.builds(
    lambda day, minor, name: Entry(minor, DAY + dt.timedelta(days=day), DAY + dt.timedelta(days=day), name=name),
    st.integers(0, 4),
    st.sampled_from([500, -500, 700]),
    st.sampled_from(["Ann", "Bob"]),
)


def keys(*statements: Statement) -> list[str]:
    """List the dedup keys of all entries."""
    return [entry.dedup_key for statement in statements for entry in statement.entries]


def window(plan: Plan, first: int, last: int) -> Plan:
    """Cut some whole days out of a statement."""
    days = daily(plan)[first : last + 1]
    return Plan(
        [entry for day in days for entry in day.entries],
        days[0].opening_minor,
        id=f"W{first}-{last}",
        first_day=days[0].first_day,
        last_day=days[-1].last_day,
    )


class TestDedupKeys:
    @given(
        entries=st.lists(TWINS, max_size=25),
        windows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted), max_size=4),
        render=st.sampled_from([mt940, camt053]),
        by_day=st.booleans(),
    )
    @settings(max_examples=200)
    def test_are_the_same_however_a_period_is_cut_into_files(self, entries, windows, render, by_day):
        """Overlapping files of whole days show the keys of the one file with all, and each entry has its own."""
        ordered = sorted(entries, key=lambda entry: entry.booking_date)
        plan = Plan(ordered, last_day=DAY + dt.timedelta(days=4))
        whole = keys(*read_statements(render(plan)))
        assert len(set(whole)) == len(whole) == len(entries)
        found = set()
        for first, last in [*windows, (0, 1), (1, 3), (3, 4)]:
            part = window(plan, first, last)
            plans = daily(part) if by_day else [part]
            found.update(keys(*read_statements(render(*plans))))
        assert found == set(whole)

    @pytest.mark.parametrize("render", [mt940, camt053])
    def test_of_a_copy_in_the_same_file_are_not_new(self, render):
        """A statement that stands in the file twice has its entries counted once."""
        plan = Plan([Entry(500), Entry(500), Entry(-1000)])
        assert set(keys(*read_statements(render(plan, plan)))) == set(keys(*read_statements(render(plan))))

    @pytest.mark.parametrize("render", [mt940, camt053])
    def test_tell_twins_on_two_pages_apart(self, render):
        """Equal entries of one day count as two, also when a page ends between them."""
        pages = [Plan([Entry(500)]), Plan([Entry(500)], 500, sequence=2)]
        assert len(set(keys(*read_statements(render(*pages))))) == 2
        other = Plan([Entry(500)], currency="USD")
        assert len(set(keys(*read_statements(render(pages[0], other, pages[1]))))) == 3

    def test_differ_by_every_fact(self):
        """Each fact by which entries differ makes another key."""
        other_day = DAY + dt.timedelta(days=1)
        variants = [
            Entry(500),
            Entry(501),
            Entry(-500),
            Entry(500, booking_date=other_day),
            Entry(500, value_date=other_day),
            Entry(500, name="Ann"),
            Entry(500, iban="NL56AGDH9619008421"),
            Entry(500, remittance="Ann"),
            Entry(500, end_to_end_id="E1"),
            Entry(500, entry_reference="E1"),
        ]
        found = {key for one in variants for key in keys(*read_statements(mt940(Plan([one]))))}
        assert len(found) == len(variants)
        assert not found & set(keys(*read_statements(mt940(Plan([Entry(500)], account="DE42100100100043921105")))))

    def test_tell_apart_what_is_kept_only_in_part(self):
        """Of a text without end the beginning is kept, and yet the whole of it is by what an entry is known."""
        texts = [Entry(500, name="N" * 300, remittance="x " * 20_000 + end) for end in "ab"]
        [statement] = read_statements(camt053(Plan(texts)))
        assert len({each.dedup_key for each in statement.entries}) == 2
        assert {(len(each.counterparty_name or ""), len(each.remittance or "")) for each in statement.entries} == {
            (200, 20_000)
        }

    def test_depend_on_the_secret(self):
        """Without the tenant's secret nobody can compute a key from a guess."""
        data = mt940(Plan([Entry(500)]))
        first, again, other = (keys(*read_statements(data, dedup_secret=one)) for one in (b"a" * 32, b"a" * 32, b"b"))
        assert first == again != other


class TestTheVerdict:
    def test_tells_by_how_much_a_statement_does_not_close(self):
        """Opening balance plus entries less closing balance is the difference."""
        [statement] = read_statements(mt940(Plan([Entry(500)], 100)).replace(b"EUR6,00", b"EUR5,50"))
        assert statement.difference_minor == 50
        assert "the difference 0.50 EUR" in statement.verdict
