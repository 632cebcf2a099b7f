"""What a parent says to its workers."""

import msgspec

from billfold_server.serving.orders import Orders, settings_of, settings_sent
from billfold_server.settings import Secret, Settings


class TestOrders:
    def test_carry_every_setting(self):
        """What a worker reads is what the parent has, secrets included, whatever its own environment says."""
        settings = Settings(
            port=8123,
            data_dir="/srv/billfold",
            database_url=Secret("postgresql://app:pw@127.0.0.1/billfold"),
            keyring_passphrase=Secret("nine tall ships"),
            trusted_proxies=["10.1.0.0/16"],
        )
        line = msgspec.json.encode(Orders(settings_sent(settings), owns_database=True))
        assert settings_of(msgspec.json.decode(line, type=Orders)) == settings
