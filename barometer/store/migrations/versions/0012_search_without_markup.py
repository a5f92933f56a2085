"""The search index has texts without their markup: all is indexed anew, as a row that was given other terms than we would
give it now could not be taken out of it"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _empty()


def downgrade() -> None:
    _empty()


def _empty() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("INSERT INTO search (search) VALUES ('delete-all')")
        op.execute("DELETE FROM search_rows")
    else:
        op.execute("TRUNCATE search")
    op.execute(
        "INSERT INTO search_queue (observed_at, row_id) SELECT observed_at, row_id FROM documents WHERE true"
        " ON CONFLICT DO NOTHING"
    )
