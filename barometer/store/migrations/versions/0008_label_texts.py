"""Texts that people label, with the model's answer at the time; annotations are of these"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)


def upgrade() -> None:
    # Nothing ever wrote into the first form of this table.
    op.drop_table("annotations")
    op.create_table(
        "label_texts",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), nullable=False),
        sa.Column("sketch", sa.Text(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("lang", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("model_id", sa.SmallInteger(), nullable=True),
        sa.Column("sentiment", sa.SmallInteger(), nullable=True),
        sa.Column("p_negative", sa.Float(), nullable=True),
        sa.Column("p_neutral", sa.Float(), nullable=True),
        sa.Column("p_positive", sa.Float(), nullable=True),
        sa.Column("topics", _JSON, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("samples", _JSON, nullable=False),
        sa.Column("drawn_at", sa.BigInteger(), nullable=False),
        sa.Column("offered_to", sa.Integer(), nullable=True),
        sa.Column("offered_at", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("skips", sa.Integer(), nullable=False),
        sa.Column("disputed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_texts")),
        sa.UniqueConstraint("observed_at", "row_id", name=op.f("uq_label_texts_observed_at_row_id")),
    )
    op.create_index("ix_label_texts_origin_drawn", "label_texts", ["origin", "drawn_at"])
    op.create_index(op.f("ix_label_texts_fingerprint"), "label_texts", ["fingerprint"])
    op.create_index(op.f("ix_label_texts_group_id"), "label_texts", ["group_id"])
    op.create_table(
        "annotations",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("text_id", _ID, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("sentiment", sa.SmallInteger(), nullable=True),
        sa.Column("topics", _JSON, nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("model_id", sa.SmallInteger(), nullable=True),
        sa.Column("previous_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["text_id"], ["label_texts.id"], name=op.f("fk_annotations_text_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_annotations_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
    )
    op.create_index(op.f("ix_annotations_text_id"), "annotations", ["text_id"])
    op.create_index(op.f("ix_annotations_user_id"), "annotations", ["user_id"])


def downgrade() -> None:
    op.drop_table("annotations")
    op.drop_table("label_texts")
    op.create_table(
        "annotations",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sentiment", sa.SmallInteger(), nullable=True),
        sa.Column("topics", _JSON, nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("model_id", sa.SmallInteger(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_annotations_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
    )
    op.create_index("ix_annotations_row", "annotations", ["observed_at", "row_id"])
