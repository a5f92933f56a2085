"""kafka-python's network client as we need it.

What is other than in the library (3.0.12):

* all addresses of ``kafka_bootstrap`` are tried, each with its share of the time; the library spends it all on one;
* a request to whatever broker there is goes to another when the first cannot be reached;
* every new connection takes the credentials of now, and a refused login is followed by a pause;
* a handshake has a time limit: to a server that takes the connection and says nothing the library waits for ever;
* what a broker says just before it hangs up is read (a refused login, above all); the library drops it;
* ``allow_auto_create_topics`` is heeded: the library passes it to nobody;
* why a connection failed is kept, for people.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from kafka import errors
from kafka.future import Future
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.inet import create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from barometer.broker.access import Access
from barometer.broker.logins import Logins
from barometer.errors import BarometerError

KNOWN = ("3.0.12",)
"""Versions of kafka-python whose insides were read for this; with another its own network client is used."""
LOGIN_SECONDS = 15.0
"""A login of which nothing is heard for so long is over."""
LEAST_SHARE_SECONDS = 1.0
HEARD_SECONDS = 0.1
SETUP_SECONDS = 3.0
"""So long a connection may take that has an alternative."""
RECENT_SECONDS = 60.0
"""Longer than the pauses between two tries to connect, and than a constructor tries."""
_DEAD_SECONDS = 60.0
_dead: dict[str, float] = {}
"""Addresses that did not answer, with the time until which they are tried last; for the whole process."""


def forget_dead() -> None:
    """As in a process that has just begun."""
    _dead.clear()


class NotConnected(errors.KafkaConnectionError):  # type: ignore[misc]
    """There was no connection to an address."""


class HandshakeFailed(errors.KafkaConnectionError):  # type: ignore[misc]
    """There was one, and TLS did not come about on it; the reason is the cause."""


class LoginPaused(errors.SaslAuthenticationFailedError):  # type: ignore[misc]
    """No login is tried now: the last one was refused."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last connection to an address came to nothing."""

    address: str
    advertised_by: str
    """The broker's number if the address is one that it told us; empty if it is one of ``kafka_bootstrap``."""
    error: BaseException
    asked: bool = False
    """Whether the broker let us in, and the first request came to nothing."""
    at: float = field(default_factory=time.monotonic)


class Reach:
    """What is known of a client's connections. Written by the client's thread, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, Failure] = {}

    def failed(self, failure: Failure) -> None:
        with self._lock:
            before = self._failures.get(failure.address)
            # A pause says less than what it follows, and a refused login more than a silent broker.
            if isinstance(failure.error, LoginPaused) and before is not None:
                return
            self._failures[failure.address] = failure

    def reached(self, address: str) -> None:
        with self._lock:
            self._failures.pop(address, None)

    def bootstrapped(self) -> None:
        """One address of ``kafka_bootstrap`` is enough: what the others do is no trouble."""
        with self._lock:
            self._failures = {a: f for a, f in self._failures.items() if f.advertised_by}

    def failures(self) -> list[Failure]:
        """The failures since the last success of each address, but for those that are long over."""
        with self._lock:
            return [f for f in self._failures.values() if time.monotonic() - f.at < RECENT_SECONDS]


class _Heard:
    """A transport that delivers what came before the end of a connection, when both are read at once."""

    def _sock_recv(self) -> tuple[bytes, BaseException | None]:
        data, end = super()._sock_recv()  # type: ignore[misc]
        if data and end is not None:
            # Whoever waits for these data has his turn first.
            self._net.call_later(HEARD_SECONDS, lambda: self.abort(end))  # type: ignore[attr-defined]
            return data, None
        return data, end


class _Plain(_Heard, KafkaTCPTransport):  # type: ignore[misc]
    pass


class _Encrypted(_Heard, KafkaSSLTransport):  # type: ignore[misc]
    pass


class Manager(KafkaConnectionManager):  # type: ignore[misc]
    """The connections of one client."""

    def __init__(self, net: NetworkSelector, access: Access, reach: Reach, logins: Logins, **configs: Any) -> None:
        self._access, self.reach, self._logins = access, reach, logins
        super().__init__(net, **configs)
        self.cluster.config["allow_auto_create_topics"] = bool(configs.get("allow_auto_create_topics", True))

    # --- the first contact -------------------------------------------------------------------------------------------

    async def _do_bootstrap(self, deadline: float | None) -> bool:
        brokers = self.cluster.bootstrap_brokers()
        while not self.closed and (deadline is None or time.monotonic() < deadline):
            random.shuffle(brokers)
            brokers.sort(key=_is_dead)
            for n, broker in enumerate(brokers):
                if self.closed:
                    break
                if await self._bootstrap_from(broker, self._share(deadline, len(brokers) - n)):
                    self.cluster.start_refresh_loop()
                    return True
            self._raise_if_paused()
            if all(_lasting(f.error) for f in self.reach.failures()):
                break
            left = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
            if left > 0:
                await self._bootstrap_wakeup(left)
        raise errors.KafkaTimeoutError(f"Unable to bootstrap from {self.cluster.config['bootstrap_servers']}")

    def _share(self, deadline: float | None, addresses: int) -> float:
        """Seconds for the next of so many addresses."""
        if deadline is None:
            return float(self.config["socket_connection_setup_timeout_ms"]) / 1000
        return max(LEAST_SHARE_SECONDS, (deadline - time.monotonic()) / addresses)

    async def _bootstrap_from(self, broker: Any, seconds: float) -> bool:
        node_id, until = broker.node_id, time.monotonic() + seconds
        self.reset_backoff(node_id)  # the rounds have pauses of their own
        try:
            conn = self.get_connection(
                node_id,
                timeout_ms=seconds * 1000,
                pop_on_close=False,
                refresh_metadata_on_err=False,
                reset_backoff_on_connect=False,
            )
        except errors.KafkaError as e:
            self._note(broker, e)
            return False
        asked = False
        try:
            await self.wait_for(conn.init_future, seconds * 1000 + 500)  # it has the same limit, and says more
            asked = True
            # On this connection and no other: a refresh that is under way for others may be asking another broker.
            request = self.cluster.metadata_request()
            left = max(0.1, until - time.monotonic()) * 1000
            response = await self.wait_for(conn.send_request(request, request_timeout_ms=left + 500), left)
            self.cluster.update_metadata(response)
            if not self.cluster.brokers():
                raise errors.MetadataEmptyBrokerList(_address(broker))
        except Exception as e:
            if asked or not conn.init_future.failed():
                self._note(broker, e, asked=asked)
            return False
        finally:
            if self._conns.pop(node_id, None) is not None and not conn.closed:
                conn.close()
        self._reached(broker)
        self.reach.bootstrapped()
        return True

    # --- each connection ---------------------------------------------------------------------------------------------

    def get_connection(self, node_id: Any, *args: Any, **kwargs: Any) -> KafkaConnection:
        if node_id is not None and node_id not in self._conns:
            self._access.renew()
            self.config.update(
                {name: self._access.options.get(name) for name in ("sasl_plain_username", "sasl_plain_password")}
            )
        return super().get_connection(node_id, *args, **kwargs)

    def maybe_raise_auth_failure(self, node_id: Any) -> None:
        """In the library one refused login bars a broker for as long as the client lives; here there is a pause."""
        self._auth_failures.pop(node_id, None)
        if node_id not in self._conns:
            self._raise_if_paused()

    def _raise_if_paused(self) -> None:
        if self._access.mechanism is None:
            return
        pause = self._logins.pause(self._access.proof)
        if pause > 0:
            raise LoginPaused(self._logins.why)

    async def _connect(self, node: Any, conn: KafkaConnection, *args: Any, **kwargs: Any) -> None:
        proof = self._access.proof
        if self._access.mechanism is not None and not self._logins.begin(proof, LOGIN_SECONDS):
            paused = LoginPaused(self._logins.why)
            conn.connection_lost(paused)
            self.update_backoff(node.node_id)
            self._note(node, paused)
            return
        await super()._connect(node, conn, *args, **kwargs)
        error = conn.init_future.exception if conn.init_future.failed() else None
        if self._access.mechanism is not None:
            if isinstance(error, errors.SaslAuthenticationFailedError):
                self._logins.failed(proof, _said(error))
            elif conn.init_future.succeeded():
                self._logins.succeeded()
            else:
                self._logins.ended()
        if error is not None:
            self._note(node, error)
        elif conn.init_future.succeeded() and not self.cluster.is_bootstrap(node.node_id):
            self._reached(node)

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> KafkaTCPTransport:
        if timeout_at is None:
            timeout_at = time.monotonic() + float(self.config["socket_connection_setup_timeout_ms"]) / 1000
        try:
            context = self._access.tls()
        except BarometerError as e:
            raise NotConnected(str(e)) from e
        try:
            sock = await create_connection(
                self._net,
                node.host,
                node.port,
                self.config["socket_options"],
                proxy_url=self.config["proxy_url"],
                timeout_at=timeout_at,
            )
        except errors.KafkaConnectionError as e:
            raise NotConnected(*e.args) from e
        if context is None:
            transport: KafkaTCPTransport = _Plain(self._net, sock, host=node.host)
        else:
            transport = _Encrypted(self._net, sock, host=node.host, ssl_context=context)
        try:
            await self.wait_for(self.call_soon(transport.handshake), max(0.0, timeout_at - time.monotonic()) * 1000)
        except Exception as e:
            transport.abort(e)
            raise HandshakeFailed(str(e)) from e
        return transport

    def _note(self, node: Any, error: BaseException, *, asked: bool = False) -> None:
        if not isinstance(error, LoginPaused):
            _dead[_address(node)] = time.monotonic() + _DEAD_SECONDS
        number = "" if self.cluster.is_bootstrap(node.node_id) else str(node.node_id)
        self.reach.failed(Failure(_address(node), number, error, asked))

    def _reached(self, node: Any) -> None:
        _dead.pop(_address(node), None)
        self.reach.reached(_address(node))

    # --- requests to any broker --------------------------------------------------------------------------------------

    def send(self, request: Any, node_id: Any = None, request_timeout_ms: float | None = None) -> Future:
        if node_id is not None and self.cluster.broker_metadata(node_id) is None:
            return self.call_soon(self._send_to_new, request, node_id, request_timeout_ms)
        if node_id is not None:
            return super().send(request, node_id=node_id, request_timeout_ms=request_timeout_ms)
        return self.call_soon(self._send_to_any, request, request_timeout_ms)

    async def _send_to_any(self, request: Any, request_timeout_ms: float | None) -> Any:
        tried: list[Any] = []
        error: BaseException = errors.NodeNotReadyError("no broker is known")
        while (node_id := self._another(tried)) is not None:
            tried.append(node_id)
            try:
                conn = self.get_connection(node_id, timeout_ms=SETUP_SECONDS * 1000)
                await self.wait_for(conn.init_future, SETUP_SECONDS * 1000 + 500)
            except LoginPaused:
                raise
            except errors.KafkaError as e:
                error = e
                continue
            return await conn.send_request(request, request_timeout_ms=request_timeout_ms)
        raise error

    async def _send_to_new(self, request: Any, node_id: Any, request_timeout_ms: float | None) -> Any:
        """To a broker that has come since the last metadata: a controller may be one."""
        await self.cluster.refresh_metadata()
        return await self.get_connection(node_id).send_request(request, request_timeout_ms=request_timeout_ms)

    def _another(self, tried: list[Any]) -> Any:
        """A broker that was not tried yet: one that is connected if there is one, else by chance; None: all were."""
        first = self.least_loaded_node()
        if first is not None and first not in tried:
            return first
        for brokers in (self.cluster.brokers(), self.cluster.bootstrap_brokers()):
            left = [b for b in brokers if b.node_id not in tried]
            if left:
                random.shuffle(left)
                return min(left, key=_is_dead).node_id
        return None

    def least_loaded_node(self) -> Any:
        """As the library chooses, but none that did not answer lately, as long as there is another."""
        found = super().least_loaded_node()
        conn = self._conns.get(found)
        if found is None or (conn is not None and conn.connected) or not _is_dead(self.cluster.broker_metadata(found)):
            return found
        left = [b for b in self.cluster.brokers() if not _is_dead(b) and self.connection_delay(b.node_id) == 0]
        return random.choice(left).node_id if left else found


class NetClient(KafkaNetClient):  # type: ignore[misc]
    """What consumers, producers and admin clients speak through; given to them as ``kafka_client``."""

    def __init__(self, access: Access, reach: Reach, logins: Logins, **configs: Any) -> None:
        net = NetworkSelector(**configs)
        super().__init__(net=net, manager=Manager(net, access, reach, logins, **configs), **configs)


def _lasting(error: BaseException) -> bool:
    """Whether it will be no other in a few seconds."""
    return isinstance(error.__cause__, ssl.SSLCertVerificationError) or isinstance(
        error, errors.UnsupportedSaslMechanismError | errors.IllegalSaslStateError | errors.IncompatibleBrokerVersion
    )


def _is_dead(node: Any) -> bool:
    return _dead.get(_address(node), 0.0) > time.monotonic()


def _address(node: Any) -> str:
    host = f"[{node.host}]" if ":" in node.host else node.host
    return f"{host}:{node.port}"


def _said(error: BaseException) -> str:
    """What the other side said: text of theirs, so on one line and cut."""
    text = str(error.args[0]) if error.args else ""
    return " ".join(text.removeprefix("SaslAuthenticationFailedError: ").split())[:200]
