"""The leader's epoch beside each stored offset: by it the broker says whether its log was cut off before the offset"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("offsets", sa.Column("leader_epoch", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("offsets", "leader_epoch")
