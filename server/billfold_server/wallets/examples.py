"""Examples for the OpenAPI document, where the types' own examples would say too little."""

from typing import Any, Final

__all__ = ["BULK"]

_KEYS: Final = ("8e03978e-40d5-43dd-bc93-6894a57f9324", "5f0f3d0c-6d3b-4a0c-8a53-1f0e1f9a2f4e")
_WALLETS: Final = ("wal_01m7w9tnzcejq9b78b81gh4nmw", "wal_01m7w9tnzcejq9b78b81gh4nmx")


def _order(key: str, amount_minor: int) -> dict[str, Any]:
    return {
        "idempotency_key": key,
        "from_wallet_id": _WALLETS[0],
        "to_wallet_id": _WALLETS[1],
        "amount": {"amount_minor": amount_minor, "currency": "EUR"},
    }


_TRANSFER: Final = {
    "id": "trf_01m7w9tnzcejq9b78b81gh4nmw",
    "from_wallet_id": _WALLETS[0],
    "to_wallet_id": _WALLETS[1],
    "amount": {"amount_minor": 1250, "currency": "EUR"},
    "reversed_minor": 0,
    "from_balance_after_minor": 3750,
    "to_balance_after_minor": 1250,
    "journal_entry_id": "jrn_01m7w9tnzcejq9b78b81gh4nmw",
    "description": None,
    "metadata": {},
    "effective_at": "2026-11-20T12:00:00Z",
    "recorded_at": "2026-11-20T12:00:00Z",
}
_PROBLEM: Final = {
    "type": "urn:billfold:problem:insufficient_funds",
    "title": "The available balance does not cover the amount",
    "status": 409,
    "code": "insufficient_funds",
    "detail": "The available balance does not cover the amount",
    "request_id": "req_01m7w9tnzcejq9b78b81gh4nmw",
    "param": None,
    "facts": {
        "account_id": "acc_01m7w9tnzcejq9b78b81gh4nmw",
        "currency": "EUR",
        "available_minor": 3750,
        "required_minor": 4000,
    },
    "violations": [],
}

BULK: Final = {
    "request": {"mode": "each", "transfers": [_order(_KEYS[0], 1250), _order(_KEYS[1], 4000)]},
    "response": {
        "carried_out": 1,
        "refused": 1,
        "replayed": 0,
        "results": [
            {"idempotency_key": _KEYS[0], "status": 201, "replayed": False, "transfer": _TRANSFER, "problem": None},
            {"idempotency_key": _KEYS[1], "status": 409, "replayed": False, "transfer": None, "problem": _PROBLEM},
        ],
    },
}
"""``POST /v1/transfers/bulk``: one item is carried out, the other refused."""
