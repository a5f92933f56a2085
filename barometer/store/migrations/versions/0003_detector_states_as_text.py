"""Detector states as text on PostgreSQL, which took most of a bucket's time to take them apart"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE series_state ALTER COLUMN state TYPE text USING state::text")
        op.execute("ALTER TABLE series_state ALTER COLUMN state SET STORAGE EXTERNAL")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE series_state ALTER COLUMN state SET STORAGE EXTENDED")
        op.execute("ALTER TABLE series_state ALTER COLUMN state TYPE jsonb USING state::jsonb")
