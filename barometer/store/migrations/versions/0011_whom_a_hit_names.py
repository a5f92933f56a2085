"""Whom a text named where a red-line rule matched it: by it a second incident is told from the first"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)


def upgrade() -> None:
    op.add_column("rule_hits", sa.Column("about", _JSON, nullable=True))


def downgrade() -> None:
    op.drop_column("rule_hits", "about")
