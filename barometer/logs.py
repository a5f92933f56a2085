"""Log lines: readable text by default, JSON for a log collector. Secrets never get here: settings hold them masked."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from barometer.settings import Settings
from barometer.when import in_zone


def configure_logging(settings: Settings) -> None:
    """Set up structlog and the standard library's logging alike, to stderr."""
    level = getattr(logging, settings.log_level)
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
    # The client logs every retry of a connection as an error; our own loops say once that the broker is away.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # A job that takes longer than its interval is simply not started twice; that is meant, and no news.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=30)
    )
    utc = structlog.processors.TimeStamper(fmt="iso", utc=True)
    stamp: Processor = utc if settings.log_format == "json" else _stamp(settings)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _stamp(settings: Settings) -> Processor:
    """Times for people, of the zone that screens and commands have, with its offset; a collector gets UTC."""

    def stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["timestamp"] = in_zone(time.time_ns() // 1_000_000, settings.zone)
        return event

    return stamp
