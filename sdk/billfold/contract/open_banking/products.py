"""Account information: the products that accounts are of."""

from typing import Literal

from msgspec import UNSET, UnsetType

from billfold.contract.open_banking.base import (
    Closed,
    Open,
)
from billfold.contract.open_banking.common import (
    Links,
    Meta,
    Text35,
    Text40,
    Text70,
    Text350,
)
from billfold.contract.open_banking.products_business import (
    OBBCAData1,
)
from billfold.contract.open_banking.products_other import (
    ProductOtherProductType,
)
from billfold.contract.open_banking.products_personal import (
    OBPCAData1,
)

__all__ = [
    "OBReadProduct2",
    "ProductData",
    "ProductProduct",
    "ProductProductType",
]

ProductProductType = Literal[
    "BusinessCurrentAccount", "CommercialCreditCard", "Other", "PersonalCurrentAccount", "SMELoan",
]  # fmt: skip


class ProductProduct(Open, frozen=True, kw_only=True):
    """``Product`` of ``ProductData``."""

    product_name: Text350 | UnsetType = UNSET
    product_id: Text40 | UnsetType = UNSET
    account_id: Text40
    secondary_product_id: Text70 | UnsetType = UNSET
    product_type: ProductProductType
    marketing_state_id: Text35 | UnsetType = UNSET
    other_product_type: ProductOtherProductType | UnsetType = UNSET
    bca: OBBCAData1 | UnsetType = UNSET
    pca: OBPCAData1 | UnsetType = UNSET


class ProductData(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBReadProduct2``."""

    product: list[ProductProduct] | UnsetType = UNSET


class OBReadProduct2(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /accounts/{AccountId}/product`` and others."""

    data: ProductData
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET
