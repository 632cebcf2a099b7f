"""What the start of a development server does about third parties: the sandbox believes the directory of its folder."""

import msgspec

from billfold_server.identity.clients.third_parties import ROLE_SCOPES
from billfold_server.tenancy.manifest import Manifest, Registration, SoftwarePublisher

__all__ = ["believing"]


def believing(manifest: Manifest, publisher: SoftwarePublisher) -> Manifest:
    """Return a manifest by which software may register that a directory vouches for.

    What it says of registration otherwise stays, such as further directories; a directory of the same name with another
    key is replaced, because the folder has been made anew since.

    Args:
        manifest: The tenant's.
        publisher: The directory.
    """
    present = manifest.registration
    publishers = [each for each in present.publishers if each.issuer != publisher.issuer]
    registration = Registration(
        mode="statement" if present.mode == "closed" else present.mode,
        publishers=[*publishers, publisher],
        scopes=list(dict.fromkeys([*present.scopes, *ROLE_SCOPES.values()])),
    )
    return msgspec.structs.replace(manifest, registration=registration)
