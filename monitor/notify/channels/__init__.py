"""Channels: the ways in which a message reaches people. One folder is one channel.

A folder has ``settings.py`` (its entry in the file of receivers, and ``CHANNEL``, a
:class:`~monitor.notify.channels.base.ChannelType`), ``sample.py`` and ``sender.py``. It is found by being here; nothing
else names it. The modules beside the folders are what channels share.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any, Union, get_args

from pydantic import Field, GetPydanticSchema

from barometer.settings import Settings
from monitor.notify.channels.base import (
    ChannelSender,
    ChannelSettings,
    ChannelType,
    HeldBack,
    SendError,
    Sent,
)
from monitor.notify.formats import Lang


def _discovered() -> dict[str, ChannelType]:
    """Name of a type -> the channel, of every folder here.

    Raises:
        TypeError: a folder declares no channel, or two declare one name.
    """
    found: dict[str, ChannelType] = {}
    for module in iter_modules(__path__):
        if not module.ispkg:
            continue
        place = f"{__name__}.{module.name}.settings"
        channel = getattr(import_module(place), "CHANNEL", None)
        if not isinstance(channel, ChannelType):
            raise TypeError(f"{place}: CHANNEL must be a ChannelType")
        names = get_args(channel.settings.model_fields["type"].annotation)
        if set(names) != set(channel.labels):
            raise TypeError(f"{place}: labels must name the types {', '.join(names)}")
        if taken := set(names) & set(found):
            raise TypeError(f"{place}: another channel is called {', '.join(taken)}")
        found |= dict.fromkeys(names, channel)
    return found


CHANNEL_TYPES: Mapping[str, ChannelType] = _discovered()
_ANY: Any = Annotated[
    Union[tuple(dict.fromkeys(c.settings for c in CHANNEL_TYPES.values()))],  # noqa: UP007
    Field(discriminator="type"),
]
ChannelConfig = Annotated[ChannelSettings, GetPydanticSchema(lambda _source, handler: handler.generate_schema(_ANY))]
"""An entry of ``channels`` in the file of receivers; ``type`` says of which channel."""


def open_channel(config: ChannelSettings, settings: Settings) -> ChannelSender:
    """The sender for one entry of the file."""
    return CHANNEL_TYPES[config.type].open(config, settings)


def channel_label(type_: str, lang: Lang) -> str:
    """What screens call a type of channel; the type itself where it is not known any more."""
    channel = CHANNEL_TYPES.get(type_)
    return type_ if channel is None else channel.labels[type_][lang]


__all__ = [
    "CHANNEL_TYPES",
    "ChannelConfig",
    "ChannelSender",
    "ChannelSettings",
    "ChannelType",
    "HeldBack",
    "SendError",
    "Sent",
    "channel_label",
    "open_channel",
]
