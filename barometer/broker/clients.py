"""The one place where kafka-python's consumers, producers and admin clients are made.

What the product relies on is set by whoever asks for a client; the operator's ``kafka_options`` go to those clients
that know them. What fails is said in one line: :mod:`barometer.broker.errors`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import kafka
import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, errors

from barometer.broker import manager
from barometer.broker.access import Access
from barometer.broker.causes import cause_of, refused_login
from barometer.broker.errors import BrokerError, BrokerUnreachable, LoginFailed, NotAuthorized
from barometer.broker.logins import Logins, logins
from barometer.broker.manager import Failure, LoginPaused, NetClient, Reach
from barometer.errors import SettingsError
from barometer.settings import PREFIX, Settings

log = structlog.get_logger(__name__)

BOOTSTRAP_MS = 5_000
MORE_MS = 2_000
"""For each further address of ``kafka_bootstrap``: some may be dead."""
_TABLE = "see the table of rights in docs/kafka.md"


def consumer(settings: Settings, **defaults: Any) -> KafkaConsumer:
    """A consumer.

    Args:
        defaults: options by kafka-python's names; the operator's win over them.

    Raises:
        SettingsError: an option is wrong, or a file that it names.
        BrokerError: no broker answers, or none lets us in.
    """
    return _made(KafkaConsumer, settings, defaults)


def producer(settings: Settings, **defaults: Any) -> KafkaProducer:
    """A producer; see :func:`consumer`."""
    return _made(KafkaProducer, settings, defaults)


def admin(settings: Settings, **defaults: Any) -> KafkaAdminClient:
    """An admin client; see :func:`consumer`."""
    return _made(KafkaAdminClient, settings, {"request_timeout_ms": 15_000, **defaults})


def check_access(settings: Settings) -> None:
    """Look at everything that can be wrong on this machine, before anything is begun.

    Raises:
        SettingsError: an option is wrong, or a file that it names.
    """
    Access(settings)


def explain(
    error: BaseException,
    settings: Settings,
    client: Any = None,
    *,
    operation: str = "",
    topic: str = "",
    remedy: str = "",
) -> BrokerError:
    """An error of kafka-python's as one of ours, in one line.

    Args:
        client: the client that it came from, if there is one: its connections know more.
        operation: what was being done; ``Read`` if not given.
        topic: with which topic, where the error does not say it; the documents' if not given.
        remedy: what to do about a missing right, other than to look at the table of rights.
    """
    if isinstance(error, BrokerError):
        return error
    known = _known.get(client) if client is not None else None
    try:
        access = known[0] if known is not None else Access(settings)
    except SettingsError as e:  # a file of theirs has broken meanwhile
        return BrokerUnreachable(str(e))
    if _no_producer(error):
        error = errors.TopicAuthorizationFailedError()
    if isinstance(error, errors.AuthorizationError):
        return _not_authorized(error, settings, access, operation, topic, remedy)
    if isinstance(error, LoginPaused | errors.SaslAuthenticationFailedError):
        return LoginFailed(_login_text(error, access))
    found = trouble(client)
    if found is not None:
        return found
    what = " ".join(str(error).split())[:300]
    return BrokerUnreachable(f"the broker at {settings.kafka_bootstrap} did not do what was asked: {what}")


def refused(error: BaseException) -> bool:
    """Whether it says that a right is missing."""
    return isinstance(error, errors.AuthorizationError) or _no_producer(error)


def _no_producer(error: BaseException) -> bool:
    """An idempotent producer is refused so who may write no topic at all (KIP-679); the library says it in words."""
    text = str(error.args[0]) if error.args else ""
    return "InitProducerId" in text and "ClusterAuthorizationFailed" in text


def trouble(client: Any, *, probe: bool = True) -> BrokerError | None:
    """Why a client has connections that do not come about; None: there is nothing of that kind.

    Args:
        probe: take up to some seconds to look at addresses that hung up; not in a loop that must go on.
    """
    known = _known.get(client) if client is not None else None
    return None if known is None else _said(*known, probe=probe)


@contextmanager
def explained(settings: Settings, client: Any = None, *, operation: str = "", topic: str = "") -> Iterator[None]:
    """Errors of kafka-python's inside come out as :class:`barometer.broker.errors.BrokerError`."""
    try:
        yield
    except errors.KafkaError as e:
        raise explain(e, settings, client, operation=operation, topic=topic) from e


def not_seen(settings: Settings, topic: str) -> NotAuthorized:
    """The broker does not tell us whether there is such a topic."""
    remedy = f"Read or Write on it includes this; {_TABLE}"
    return NotAuthorized(Access(settings).principal(), "Describe", f"topic {topic}", remedy)


_known: WeakKeyDictionary[Any, tuple[Access, Reach]] = WeakKeyDictionary()


def _made(kind: Any, settings: Settings, defaults: dict[str, Any]) -> Any:
    access, reach = Access(settings), Reach()
    record = _logins(access)
    if access.mechanism is not None and record.pause(access.proof) > 0:
        raise LoginFailed(_login_text(LoginPaused(record.why), access))
    made: list[NetClient] = []
    lock = threading.Lock()

    def client(**configs: Any) -> NetClient:
        net = NetClient(access, reach, record, **configs)
        with lock:
            made.append(net)
        return net

    wait = BOOTSTRAP_MS + MORE_MS * (len(access.bootstrap) - 1)
    options = {
        "bootstrap_timeout_ms": wait,
        **defaults,
        **{name: value for name, value in access.options.items() if name in kind.DEFAULT_CONFIG},
        **({"sasl_oauth_token_provider": _tokens(settings, access)} if access.mechanism == "OAUTHBEARER" else {}),
        "bootstrap_servers": access.bootstrap,
    }
    if kafka.__version__ in manager.KNOWN:
        options["kafka_client"] = client
    else:
        _say_unknown(kafka.__version__)
        options["ssl_context"] = access.tls()
    try:
        out = kind(**options)
    except errors.KafkaError as e:
        _end(made)
        if isinstance(e, errors.KafkaConfigurationError):
            raise SettingsError(f"kafka_options ({PREFIX}KAFKA_OPTIONS): {' '.join(str(e).split())}") from e
        raise _said(access, reach) or explain(e, settings) from e
    except BaseException:
        _end(made)
        raise
    _known[out] = (access, reach)
    return out


def _tokens(settings: Settings, access: Access) -> Any:
    from barometer.broker.oauth import tokens  # httpx, only where it is used

    found = tokens(settings, access)
    found.token()  # in this thread, so that a login seldom waits for the token server
    return found


@cache
def _say_unknown(version: str) -> None:
    log.warning(
        "this kafka-python is not known: causes of failures, changed passwords and dead addresses are handled as it "
        "does itself",
        version=version,
        known=manager.KNOWN,
    )


def _end(made: list[NetClient]) -> None:
    """A client whose making failed leaves its thread running; nobody else ends it."""
    for net in made:
        with suppress(Exception):
            net.close()


def _logins(access: Access) -> Logins:
    return logins(",".join(access.bootstrap), access.mechanism or "", access.user)


def _said(access: Access, reach: Reach, *, probe: bool = True) -> BrokerError | None:
    """The failures of a client's connections as one error."""
    failures = reach.failures()
    if not failures:
        return None
    refused = [f for f in failures if isinstance(f.error, LoginPaused | errors.SaslAuthenticationFailedError)]
    if refused:
        return LoginFailed(_login_text(refused[0].error, access, refused[0].address))
    inner = next((f.error for f in failures if isinstance(f.error, LoginFailed)), None)
    if inner is not None:
        return inner
    said = {str(f.error): None for f in failures if isinstance(f.error, BrokerError)}
    left = [f for f in failures if not isinstance(f.error, BrokerError)]
    return BrokerUnreachable("; ".join([*said, *_places(left, access, probe)]))


def _places(failures: list[Failure], access: Access, probe: bool) -> Iterator[str]:
    grouped: dict[tuple[bool, str], list[Failure]] = {}
    for f in failures:
        grouped.setdefault((bool(f.advertised_by), cause_of(f, access, probe=probe)), []).append(f)
    for (advertised, cause), those in sorted(grouped.items(), key=lambda x: x[0][0]):
        if advertised:
            who = ", ".join(f"{f.address} (broker {f.advertised_by})" for f in those)
            yield (
                f"brokers advertise {who}, which cannot be used: {cause}; see advertised.listeners in the broker's "
                "settings"
            )
        else:
            who = ", ".join(f.address for f in those)
            yield f"no broker answers at {who} (kafka_bootstrap, {PREFIX}KAFKA_BOOTSTRAP): {cause}"


def _login_text(error: BaseException, access: Access, address: str = "") -> str:
    """Without the seconds of the pause: it is the same state, said once."""
    where = address or ", ".join(access.bootstrap)
    return f"{where}: {refused_login(error, access)}; tried again with growing pauses, at once with other credentials"


def _not_authorized(
    error: errors.AuthorizationError, settings: Settings, access: Access, operation: str, topic: str, remedy: str
) -> NotAuthorized:
    """A missing right. The error's class says the kind of resource, its argument sometimes which."""
    named = error.args[0] if error.args else None
    resource = f"topic {topic or settings.topic_documents}"
    if isinstance(error, errors.TopicAuthorizationFailedError):
        if isinstance(named, set | frozenset | list | tuple) and named:
            resource = f"topic {', '.join(sorted(map(str, named)))}"
    elif isinstance(error, errors.GroupAuthorizationFailedError):
        resource, operation = f"group {settings.consumer_group}", "Read"
    elif isinstance(error, errors.ClusterAuthorizationFailedError) and operation != "Write":
        resource, operation = "the cluster", operation or "ClusterAction"
    return NotAuthorized(access.principal(), operation or "Read", resource, remedy or _TABLE)
