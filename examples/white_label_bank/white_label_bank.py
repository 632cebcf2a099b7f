"""Make a bank of its own brand out of a folder with ten lines in it, and look at what stands there then.

Let ``billfold clients create --platform --scope all`` make a client of the platform's operators, set
BILLFOLD_PLATFORM_URL (http://127.0.0.1:8000), BILLFOLD_PLATFORM_CLIENT_ID and BILLFOLD_PLATFORM_CLIENT_SECRET, then run
this file. ``billfold tenants apply moss_bank`` does the same without it.
"""

import os
import re
import tomllib
from pathlib import Path

import httpx

from billfold import BillfoldPlatform

FOLDER = Path(__file__).parent / "moss_bank"


def main() -> None:
    """Run the example."""
    text = (FOLDER / "tenant.toml").read_text(encoding="utf-8")
    print(f"{len(text.splitlines())} lines of manifest")
    with BillfoldPlatform() as platform:
        # Saying it again changes nothing; saying something else changes the bank to that.
        bank = platform.tenants.apply(slug=FOLDER.name, manifest=tomllib.loads(text))
        print(f"{bank.name}: {bank.state}")

    base_url = f"{os.environ['BILLFOLD_PLATFORM_URL']}/t/{FOLDER.name}"
    issuer = httpx.get(f"{base_url}/.well-known/oauth-authorization-server").json()
    print(f"issues tokens of its own: {issuer['issuer'] == base_url}")
    print(f"clients prove who they are by: {', '.join(issuer['token_endpoint_auth_methods_supported'])}")
    print(f"keys of its own: {len(httpx.get(issuer['jwks_uri']).json()['keys']) > 0}")
    title = re.search("<title>(.*?)</title>", httpx.get(f"{base_url}/docs").text)
    print(f"its developers read: {title.group(1) if title else 'nothing'}")


if __name__ == "__main__":
    main()
