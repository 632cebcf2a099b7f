"""Manifests as the registry keeps them.

While servers are renewed one after the other, a newer version may have written what an older one must read. So what is
stored says nothing that is so anyway, and keys that nobody knows here are passed over. What people write is read
strictly, by ``manifest``.
"""

from typing import Any, Final

import msgspec
from msgspec import inspect

from billfold_server.tenancy.manifest import Manifest

__all__ = ["read_stored", "to_stored"]


def to_stored(manifest: Manifest) -> str:
    """Return a manifest as it is stored: JSON without what is as it is by default."""
    return msgspec.json.encode(_said(manifest), order="deterministic").decode()


def read_stored(text: str) -> Manifest:
    """Return a manifest that was stored, perhaps by another version.

    Raises:
        msgspec.MsgspecError: It can't be read here, even without the keys that aren't known.
    """
    try:
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.ValidationError:
        return msgspec.convert(_known(msgspec.json.decode(text), _FORM), Manifest)


def _said(value: Any) -> Any:
    """Return what a value says beyond the defaults."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        said = {field.encode_name: getattr(value, field.name) for field in fields if not _is_default(field, value)}
        return {name: _said(each) for name, each in said.items()}
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items()}
    return [_said(each) for each in value] if isinstance(value, list) else value


def _is_default(field: msgspec.structs.FieldInfo, value: msgspec.Struct) -> bool:
    if field.default is not msgspec.NODEFAULT:
        return bool(getattr(value, field.name) == field.default)
    return field.default_factory is not msgspec.NODEFAULT and getattr(value, field.name) == field.default_factory()


_FORM: Final = inspect.type_info(Manifest)


def _known(value: Any, form: inspect.Type) -> Any:
    """Return a value without the keys that its form doesn't have, and as it is meant."""
    while isinstance(form, inspect.Metadata):
        form = form.type
    if isinstance(form, inspect.UnionType):
        # Of the manifest's parts no two stand for one another, so at most one of these has keys.
        form = next((each for each in form.types if not isinstance(each, inspect.NoneType)), form)
        return value if value is None else _known(value, form)
    if isinstance(form, inspect.StructType) and isinstance(value, dict):
        forms = {field.encode_name: field.type for field in form.fields}
        return {name: _known(each, forms[name]) for name, each in value.items() if name in forms}
    if isinstance(form, inspect.DictType) and isinstance(value, dict):
        return {name: _known(each, form.value_type) for name, each in value.items()}
    if isinstance(form, inspect.ListType) and isinstance(value, list):
        return [_known(each, form.item_type) for each in value]
    # Former versions overlooked a newline at the end of what has none.
    return value.removesuffix("\n") if isinstance(value, str) else value
