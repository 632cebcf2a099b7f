"""What third parties may say in headers: what has the documented form, and can be."""

import pytest

from billfold import errors
from billfold_server.open_banking.edge.headers import check_headers

ADDRESS, DATE = "x-fapi-customer-ip-address", "x-fapi-auth-date"


class TestAHeader:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            (ADDRESS, "203.0.113.7"),
            (ADDRESS, "255.255.255.255"),
            (ADDRESS, "2001:db8::1"),
            (ADDRESS, "2001:0DB8:0000:0000:0000:ff00:0042:8329"),
            (ADDRESS, "::"),
            (ADDRESS, "::ffff:203.0.113.7"),
            (ADDRESS, "fe80::1"),
            (DATE, "Sun, 10 Sep 2017 19:43:31 GMT"),
            (DATE, "Sun, 10 Sep 2017 19:43:31 UTC"),
            (DATE, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (DATE, "Sat, 31 Dec 2016 23:59:60 GMT"),
        ],
    )
    def test_is_taken(self, name: str, value: str) -> None:
        """IPv4 and IPv6 as they are written; days by the calendar, with leap days and leap seconds."""
        check_headers({name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            (ADDRESS, ""),
            (ADDRESS, "999.1.1.1"),
            (ADDRESS, "1.2.3"),
            (ADDRESS, "1.2.3.4.5"),
            (ADDRESS, "01.2.3.4"),
            (ADDRESS, "203.0.113.7:443"),
            (ADDRESS, "203.0.113.7, 198.51.100.1"),
            (ADDRESS, "[2001:db8::1]"),
            (ADDRESS, "2001:db8::1::2"),
            (ADDRESS, "12345::1"),
            (ADDRESS, "fe80::1%eth0"),
            (ADDRESS, "::ffff:203.0.113.777"),
            (ADDRESS, ":::"),
            (ADDRESS, "...."),
            (DATE, "Sun, 99 Sep 2017 99:43:31 GMT"),
            (DATE, "Sun, 31 Sep 2017 19:43:31 GMT"),
            (DATE, "Sun, 00 Sep 2017 19:43:31 GMT"),
            (DATE, "Wed, 29 Feb 2023 19:43:31 GMT"),
            (DATE, "Mon, 10 Sep 2017 19:43:31 GMT"),
            (DATE, "Sat, 01 Jan 0000 19:43:31 GMT"),
            (DATE, "Sun, 10 Sep 2017 24:00:00 GMT"),
            (DATE, "Sun, 10 Sep 2017 19:60:00 GMT"),
            (DATE, "Sun, 10 Sep 2017 19:43:61 GMT"),
            (DATE, "Sun, 10 Sep 2017 19:43:31 BST"),
            (DATE, "Sun, 10 Sep 2017 19:43:31"),
            (DATE, "2017-09-10T19:43:31Z"),
        ],
    )
    def test_is_refused_where_it_says_what_cannot_be(self, name: str, value: str) -> None:
        """The header is blamed, and nothing of it is said again."""
        with pytest.raises(errors.ValidationFailed) as refused:
            check_headers({name: value})
        assert refused.value.param == name
        assert not value or value not in str(refused.value)
