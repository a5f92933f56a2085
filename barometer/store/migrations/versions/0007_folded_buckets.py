"""Sealed buckets added up to hours and quarters of a day"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "folded_buckets",
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("negative", sa.BigInteger(), nullable=False),
        sa.Column("neutral", sa.BigInteger(), nullable=False),
        sa.Column("positive", sa.BigInteger(), nullable=False),
        sa.Column("unscored", sa.BigInteger(), nullable=False),
        sa.Column("independent", sa.BigInteger(), nullable=False),
        sa.Column("independent_negative", sa.BigInteger(), nullable=False),
        sa.Column("judged_negative", sa.BigInteger(), nullable=False),
        sa.Column("judged_scored", sa.BigInteger(), nullable=False),
        sa.Column("expected_total", sa.Float(), nullable=True),
        sa.Column("expected_negative", sa.Float(), nullable=True),
        sa.Column("spread_below", sa.Float(), nullable=False),
        sa.Column("spread_above", sa.Float(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("alert", sa.Boolean(), nullable=False),
        sa.Column("outage", sa.Boolean(), nullable=False),
        sa.Column("model_id", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("width", "series_id", "kind", "start", name=op.f("pk_folded_buckets")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("folded_buckets")
    op.execute("DELETE FROM meta WHERE key LIKE 'folded_until:%'")
