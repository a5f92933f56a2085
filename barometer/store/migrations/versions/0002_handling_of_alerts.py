"""Levels with steps, incidents, snooze, silences by source, word and hour"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

AUTO_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql")

ADDED = {
    "alerts": {
        "level_at": sa.BigInteger(),
        "level_by": sa.Text(),
        "incident_id": sa.BigInteger(),
        "snoozed_until": sa.BigInteger(),
    },
    "silences": {"source": sa.Text(), "word": sa.Text(), "windows": JSON, "expired_by": sa.Text()},
}
INDEXED = ("incident_id", "ended_at")


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name, type_ in columns.items():
            op.add_column(table, sa.Column(name, type_, nullable=True))  # type: ignore[arg-type]
    for name in INDEXED:
        op.create_index(op.f(f"ix_alerts_{name}"), "alerts", [name], unique=False)
    # Until now only findings and people set levels, and nobody wrote down who.
    op.execute("UPDATE alerts SET level_at = detected_at, level_by = 'detector' WHERE level IS NOT NULL")
    op.create_table(
        "alert_steps",
        sa.Column("alert_id", AUTO_ID, autoincrement=False, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("done_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("overdue_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=op.f("fk_alert_steps_alert_id")),
        sa.PrimaryKeyConstraint("alert_id", "step", name=op.f("pk_alert_steps")),
    )
    op.create_index(op.f("ix_alert_steps_due_at"), "alert_steps", ["due_at"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("id", AUTO_ID, autoincrement=True, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("sketches", JSON, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )


def downgrade() -> None:
    op.drop_table("incidents")
    op.drop_index(op.f("ix_alert_steps_due_at"), table_name="alert_steps")
    op.drop_table("alert_steps")
    for name in INDEXED:
        op.drop_index(op.f(f"ix_alerts_{name}"), table_name="alerts")
    for table, columns in ADDED.items():
        for name in columns:
            op.drop_column(table, name)
