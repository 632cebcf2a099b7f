"""Keys for tests, one of each algorithm in a process: RSA takes long to make one."""

from billfold.keys import PemKey

__all__ = ["ALGORITHMS", "KEYS"]

ALGORITHMS = ["ES256", "PS256", "EdDSA"]


class _Made(dict[str, PemKey]):
    """Keys by algorithm, each made when it is first asked for."""

    def __missing__(self, algorithm: str) -> PemKey:
        made = self[algorithm] = PemKey.generate(algorithm)  # type: ignore[arg-type]
        return made


KEYS = _Made()
