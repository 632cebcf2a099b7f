"""The products that wallets are of, in the words of the standard."""

from typing import Final
from uuid import UUID

from msgspec import UNSET, UnsetType

from billfold.contract.arrangements import ProductType
from billfold.contract.open_banking.products import ProductProduct, ProductProductType
from billfold.contract.open_banking.products_business import (
    BCACreditInterest,
    BCAProductDetails,
    BCATierBand,
    BCATierBandSet,
    OBBCAData1,
)
from billfold.contract.open_banking.products_other import (
    ProductCreditInterest,
    ProductOtherProductType,
    ProductProductDetails,
    ProductTierBand,
    ProductTierBandSet,
)
from billfold.contract.open_banking.products_personal import (
    OBPCAData1,
    PCACreditInterest,
    PCAProductDetails,
    PCATierBand,
    PCATierBandSet,
)
from billfold.money import Money
from billfold_server.arrangements.service import ProductRow
from billfold_server.open_banking.accounts.wallets import account_id
from billfold_server.open_banking.accounts.words import decimal_text

__all__ = ["TYPES", "to_product"]

TYPES: Final[dict[ProductType, ProductProductType]] = {
    ProductType.PERSONAL_CURRENT_ACCOUNT: "PersonalCurrentAccount",
    ProductType.BUSINESS_CURRENT_ACCOUNT: "BusinessCurrentAccount",
    ProductType.OTHER: "Other",
}
"""What the standard calls each type of product."""

_FROM: Final = "0"
"""Interest is earned from the first coin on."""


def to_product(wallet_id: UUID, product: ProductRow) -> ProductProduct:
    """Return the product that a wallet is of."""
    return ProductProduct(
        account_id=account_id(wallet_id),
        product_id=product.wire_id,
        product_name=product.name,
        product_type=TYPES[product.type],
        secondary_product_id=product.secondary_id or UNSET,
        pca=_personal(product) if product.type is ProductType.PERSONAL_CURRENT_ACCOUNT else UNSET,
        bca=_business(product) if product.type is ProductType.BUSINESS_CURRENT_ACCOUNT else UNSET,
        other_product_type=_other(product) if product.type is ProductType.OTHER else UNSET,
    )


def _cap(cap: Money | None) -> str | UnsetType:
    return UNSET if cap is None else decimal_text(cap.amount_minor, cap.currency)


def _notes(product: ProductRow) -> list[str]:
    return [product.description, *product.notes]


def _personal(product: ProductRow) -> OBPCAData1:
    interest: PCACreditInterest | UnsetType = UNSET
    if product.interest_rate is not None:
        band = PCATierBand(
            tier_value_minimum=_FROM,
            application_frequency="Monthly",
            fixed_variable_interest_rate_type="Variable",
            aer=product.interest_rate,
        )
        interest = PCACreditInterest(
            tier_band_set=[PCATierBandSet(tier_band_method="Whole", destination="SelfCredit", tier_band=[band])]
        )
    details = PCAProductDetails(monthly_maximum_charge=_cap(product.monthly_fee_cap), notes=_notes(product))
    return OBPCAData1(product_details=details, credit_interest=interest)


def _business(product: ProductRow) -> OBBCAData1:
    interest: BCACreditInterest | UnsetType = UNSET
    if product.interest_rate is not None:
        band = BCATierBand(
            tier_value_minimum=_FROM,
            application_frequency="Monthly",
            fixed_variable_interest_rate_type="Variable",
            aer=product.interest_rate,
        )
        interest = BCACreditInterest(
            tier_band_set=[BCATierBandSet(tier_band_method="Whole", destination="SelfCredit", tier_band=[band])]
        )
    return OBBCAData1(product_details=BCAProductDetails(notes=_notes(product)), credit_interest=interest)


def _other(product: ProductRow) -> ProductOtherProductType:
    interest: ProductCreditInterest | UnsetType = UNSET
    if product.interest_rate is not None:
        band = ProductTierBand(
            tier_value_minimum=_FROM,
            application_frequency="FQMY",
            fixed_variable_interest_rate_type="INVA",
            aer=product.interest_rate,
        )
        interest = ProductCreditInterest(
            tier_band_set=[ProductTierBandSet(tier_band_method="INWH", destination="INSC", tier_band=[band])]
        )
    return ProductOtherProductType(
        name=product.name,
        description=product.description,
        product_details=ProductProductDetails(
            monthly_maximum_charge=_cap(product.monthly_fee_cap), notes=product.notes or UNSET
        ),
        credit_interest=interest,
    )
