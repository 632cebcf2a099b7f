"""Where endpoints of strangers may be, and when they are tried again."""

import itertools
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address

import pytest

from billfold_server.outbound.rules import (
    WAITS_S,
    Policy,
    UrlRefused,
    is_public,
    judge,
    next_attempt_at,
    read_retry_after,
    read_url,
)

ANYWHERE = Policy()
HERE = Policy(loopback=True)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

NOBODYS = [
    "0.0.0.0",  # noqa: S104 - An address in a table.
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
EVERYBODYS = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
]


class TestAnAddress:
    @pytest.mark.parametrize("text", NOBODYS)
    def test_that_not_everybody_reaches_is_refused(self, text: str):
        """Private, special and disguised addresses aren't called."""
        assert not is_public(ip_address(text))
        with pytest.raises(UrlRefused) as refused:
            judge([ip_address("1.1.1.1"), ip_address(text)], ANYWHERE)
        assert refused.value.reason == "address"

    @pytest.mark.parametrize("text", EVERYBODYS)
    def test_that_everybody_reaches_is_called(self, text: str):
        """What lies just beside a special network is public."""
        judge([ip_address(text)], ANYWHERE)

    @pytest.mark.parametrize("text", ["127.0.0.1", "127.8.8.8", "::1"])
    def test_of_this_machine_is_called_where_the_policy_says_so(self, text: str):
        """A sandbox may call loopback."""
        judge([ip_address(text)], HERE)

    @pytest.mark.parametrize("text", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"])  # noqa: S104
    def test_beside_this_machine_is_refused_even_then(self, text: str):
        """To call loopback isn't to call the network that it is in."""
        with pytest.raises(UrlRefused):
            judge([ip_address(text)], HERE)

    def test_has_to_be_there(self):
        """A name that leads nowhere leads to nothing that may be called."""
        with pytest.raises(UrlRefused):
            judge([], ANYWHERE)


class TestAUrl:
    @pytest.mark.parametrize(
        ("url", "host", "port", "path", "authority"),
        [
            ("https://tpp.example/hooks?a=b%20c", "tpp.example", 443, "/hooks?a=b%20c", "tpp.example"),
            ("HTTPS://TPP.Example:8443", "tpp.example", 8443, "/", "tpp.example:8443"),
            ("https://tpp.example?x", "tpp.example", 443, "/?x", "tpp.example"),
            ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
            ("https://1.1.1.1/x", "1.1.1.1", 443, "/x", "1.1.1.1"),
            (
                "https://[2606:4700:4700:0:0:0:0:1111]:99/",
                "2606:4700:4700::1111",
                99,
                "/",
                "[2606:4700:4700::1111]:99",
            ),
        ],
    )
    def test_is_read_into_its_parts(self, url: str, host: str, port: int, path: str, authority: str):
        """Host, port and what is asked for come out as they are sent."""
        target = read_url(url, ANYWHERE)
        assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("", "form"),
            ("tpp.example/hooks", "form"),
            ("//tpp.example/", "form"),
            ("https:tpp.example", "form"),
            ("https://tpp.example/#part", "form"),
            ("https://tpp.example/ x", "form"),
            ("https://tpp.example/\r\nHost: x", "form"),
            ("https://tpp.example\\@10.0.0.1/", "form"),
            ("https://t\u0440p.example/", "form"),
            ("https://tpp.example/" + "x" * 2_000, "form"),
            ("http://tpp.example/", "scheme"),
            ("http://127.0.0.1/", "address"),
            ("ftp://tpp.example/", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("gopher://tpp.example/", "scheme"),
            ("https://user@tpp.example/", "userinfo"),
            ("https://1.1.1.1@10.0.0.1/", "userinfo"),
            ("https://tpp.example:443@10.0.0.1/", "userinfo"),
            ("https:///hooks", "host"),
            ("https://2130706433/", "host"),
            ("https://0x7f000001/", "host"),
            ("https://0x7f.1/", "host"),
            ("https://017700000001/", "host"),
            ("https://0177.0.0.1/", "host"),
            ("https://127.1/", "host"),
            ("https://127.0.0.0x1/", "host"),
            ("https://1.1.1.1./", "host"),
            ("https://tpp.example./", "host"),
            ("https://tpp..example/", "host"),
            ("https://-tpp.example/", "host"),
            ("https://%31%32%37.0.0.1/", "host"),
            ("https://[1.1.1.1]/", "host"),
            ("https://[fe80::1%25eth0]/", "host"),
            ("https://2606:4700::1/", "host"),
            (f"https://{'a.' * 127}example/", "host"),
            ("https://tpp.example:0/", "port"),
            ("https://tpp.example:65536/", "port"),
            ("https://tpp.example:+443/", "host"),
            ("https://127.0.0.1/", "address"),
            ("https://10.0.0.1/", "address"),
            ("https://[::1]/", "address"),
            ("https://[::ffff:10.0.0.1]/", "address"),
            ("https://[::ffff:a00:1]/", "address"),
        ],
    )
    def test_of_another_form_is_refused(self, url: str, reason: str):
        """What two readers could read in two ways, and what isn't https, isn't interpreted."""
        with pytest.raises(UrlRefused) as refused:
            read_url(url, ANYWHERE)
        assert refused.value.reason == reason

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/", "https://[::1]/"])
    def test_of_this_machine_may_be_plain_where_the_policy_says_so(self, url: str):
        """A sandbox may call loopback by HTTP."""
        assert read_url(url, HERE).scheme == url.partition(":")[0]

    def test_of_another_machine_may_not_be_plain_even_then(self):
        """Only loopback is called without TLS."""
        with pytest.raises(UrlRefused) as refused:
            read_url("http://tpp.example/", HERE)
        assert refused.value.reason == "scheme"

    @pytest.mark.parametrize(
        ("host", "named"),
        [
            ("tpp.example", True),
            ("a.tpp.example", False),
            ("hooks.partner.example", True),
            ("a.hooks.partner.example", True),
            ("partner.example", False),
            ("evilpartner.example", False),
            ("tpp.example.evil.example", False),
        ],
    )
    def test_is_held_to_the_hosts_that_are_named(self, host: str, *, named: bool):
        """A policy names hosts, or all below a name; nothing else is called then."""
        policy = Policy(hosts=("tpp.example", "*.partner.example"))
        if named:
            assert read_url(f"https://{host}/", policy).host == host
        else:
            with pytest.raises(UrlRefused) as refused:
                read_url(f"https://{host}/", policy)
            assert refused.value.reason == "policy"


def instants(jitter: float) -> list[float]:
    """Return when each attempt is made, in hours, where all fail."""
    at, found = NOW, [0.0]
    for attempt in range(1, 100):
        following = next_attempt_at(attempt=attempt, begun_at=NOW, now=at, jitter=jitter)
        if following is None:
            break
        at = following
        found.append((at - NOW) / timedelta(hours=1))
    return found


class TestTheNextAttempt:
    @pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
    def test_is_one_of_ten_in_three_days(self, jitter: float):
        """Whatever chance says, there are ten attempts, further and further apart, the last after about three days."""
        found = instants(jitter)
        gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
        assert len(found) == 10
        assert gaps == sorted(gaps)
        assert 64 < found[-1] < 80

    def test_is_beyond_seventy_hours_of_outage(self):
        """On a test clock, where chance is steady, an endpoint that was away for 70 hours is still tried."""
        assert instants(0.5)[-1] > 70

    def test_waits_for_as_long_as_the_endpoint_asks(self):
        """Retry-After counts where it asks for more, up to a day."""
        asked = partial(next_attempt_at, attempt=1, begun_at=NOW, now=NOW, jitter=0.5)
        assert asked(retry_after=timedelta(hours=2)) == NOW + timedelta(hours=2)
        assert asked(retry_after=timedelta(seconds=1)) == NOW + timedelta(seconds=WAITS_S[0])
        assert asked(retry_after=timedelta(days=900)) == NOW + timedelta(days=1)

    def test_isnt_begun_after_the_time_is_over(self):
        """What has waited behind others for three days gets one attempt and no second."""
        assert next_attempt_at(attempt=1, begun_at=NOW - timedelta(days=4), now=NOW, jitter=0.5) is None


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "asked_s"),
        [
            (None, None),
            ("", None),
            ("soon", None),
            ("-1", None),
            ("1e3", None),
            ("9" * 40, None),
            ("Fri, 20 Nov 2026 12:01:00 +" + "9" * 20, None),
            (f"Fri, 20 Nov {'9' * 20} 12:01:00 GMT", None),
            ("0", 0),
            ("120", 120),
            ("Fri, 20 Nov 2026 12:01:00 GMT", 60),
            ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ],
    )
    def test_is_seconds_or_a_date(self, value: str | None, asked_s: int | None):
        """What can't be read asks for nothing."""
        assert read_retry_after(value, NOW) == (None if asked_s is None else timedelta(seconds=asked_s))
