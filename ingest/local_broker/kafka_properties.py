"""Settings of a local Apache Kafka (``server.properties``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

LISTENERS = ("PLAIN", "INTERNAL", "CONTROLLER")
SECURE_LISTENERS = ("SECURE", "MTLS")


def broker_properties(
    node: int,
    ports: Mapping[str, int],
    controllers: Mapping[int, int],
    data: Path,
    *,
    advertised_port: int | None,
    quick: bool,
) -> dict[str, object]:
    """Settings of one broker, which is a controller, too.

    Args:
        ports: of its listeners.
        controllers: the port of each broker's controller listener.
        data: folder of its log segments.
        advertised_port: port that clients of the plain listener are told to use; None: its own.
        quick: a broker that died loses its partitions sooner.
    """
    advertised = ports if advertised_port is None else {**ports, "PLAIN": advertised_port}
    copies, insync = len(controllers), max(1, len(controllers) - 1)
    voters = (f"{n}@127.0.0.1:{port}" for n, port in controllers.items())
    return {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": ",".join(voters),
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "advertised.listeners": ",".join(
            f"{name}://127.0.0.1:{port}" for name, port in advertised.items() if name != "CONTROLLER"
        ),
        "listener.security.protocol.map": "PLAIN:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        "SECURE:SASL_SSL,MTLS:SSL",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "default.replication.factor": copies,
        "min.insync.replicas": insync,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": insync,
        "transaction.state.log.num.partitions": copies,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
        # How long after a broker's death its partitions get another leader; it cannot start again sooner either.
        "broker.session.timeout.ms": 3_000 if quick else 6_000,
        "broker.heartbeat.interval.ms": 500 if quick else 2_000,
        "log.retention.check.interval.ms": 1_000,
    }


def secure_properties(tls: Path, users: Mapping[str, str]) -> dict[str, object]:
    """Settings of the listeners SECURE (SASL over TLS) and MTLS, and of ACLs.

    Args:
        tls: folder of the certificates.
        users: names and passwords.
    """
    module, login = "org.apache.kafka.common.security", "listener.name.secure"
    passwords = " ".join(f'user_{name}="{word}"' for name, word in users.items())
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Those who come without a name come to the plain listeners: the operator, and the brokers themselves.
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": tls / "server.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": tls / "ca.pem",
        "listener.name.mtls.ssl.client.auth": "required",
        f"{login}.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {passwords};",
        f"{login}.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        # Takes tokens that nobody signed, as a broker does that was told nothing else: for tests only.
        f"{login}.oauthbearer.sasl.jaas.config": f"{module}.oauthbearer.OAuthBearerLoginModule required;",
    }
