"""Connect by a key that never leaves this machine, in place of a secret: private_key_jwt and DPoP, as FAPI 2.0 asks.

Make the key and register its public half: `billfold clients create --tenant demo_bank --new-key client.pem …` prints
the client's id. Then set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_KEY_FILE, and run this file.
"""

import os
import sys

from billfold import Billfold, Money, errors
from billfold.auth import PrivateKeyJWT
from billfold.keys import PemKey


def main() -> None:
    """Run the example."""
    needed = ("BILLFOLD_BASE_URL", "BILLFOLD_CLIENT_ID", "BILLFOLD_KEY_FILE")
    if missing := [name for name in needed if not os.environ.get(name)]:
        sys.exit(f"set {', '.join(missing)}, as the head of this file says")
    base_url, client_id, key_file = (os.environ[name] for name in needed)
    key = PemKey(key_file)

    # The key signs who asks for an access token, and binds the token to itself: stolen, it opens nothing.
    with Billfold(base_url=base_url, auth=PrivateKeyJWT(client_id, key, dpop=key)) as billfold:
        print(f"connected to {billfold.tenant.get().slug} by {key.algorithm}")
        ada = billfold.parties.create(kind="person", name="Ada Lovelace")
        wallet = billfold.wallets.create(party_id=ada.id, label="Ada's wallet")
        top_up = billfold.top_ups.create(wallet_id=wallet.id, amount=Money(5000, "EUR"))
        print(f"{wallet.label}: {top_up.amount}")

    # Another key is nobody's, whatever client it says that it belongs to.
    stranger = PemKey.generate()
    with Billfold(base_url=base_url, auth=PrivateKeyJWT(client_id, stranger, dpop=stranger)) as billfold:
        try:
            billfold.tenant.get()
        except errors.AuthenticationFailed as error:
            print(f"another key: {error.code}")


if __name__ == "__main__":
    main()
