"""The search index, and the queue of what it does not have yet: all that is stored now"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "search_queue",
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("observed_at", "row_id", name=op.f("pk_search_queue")),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        # What stands between spaces is a term: the index gets terms, not texts.
        op.execute(
            "CREATE VIRTUAL TABLE search USING"
            " fts5(terms, content='', tokenize=\"unicode61 remove_diacritics 0 tokenchars '@'\")"
        )
        op.execute(
            "CREATE TABLE search_rows (sid INTEGER PRIMARY KEY, row_id BIGINT NOT NULL, fingerprint BIGINT NOT NULL)"
        )
        op.execute("CREATE INDEX ix_search_rows_fingerprint ON search_rows (fingerprint)")
    else:
        op.execute(
            "CREATE TABLE search (observed_at BIGINT NOT NULL, row_id BIGINT NOT NULL, fingerprint BIGINT NOT NULL,"
            " terms TSVECTOR NOT NULL, CONSTRAINT pk_search PRIMARY KEY (observed_at, row_id))"
            " PARTITION BY RANGE (observed_at)"
        )
        op.execute("CREATE INDEX ix_search_terms ON search USING gin (terms)")
        op.execute("CREATE INDEX ix_search_fingerprint ON search (fingerprint, observed_at)")
        _the_months_of_documents()
    op.execute("INSERT INTO search_queue (observed_at, row_id) SELECT observed_at, row_id FROM documents")


def _the_months_of_documents() -> None:
    months = op.get_bind().execute(
        sa.text(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'documents'::regclass"
        )
    )
    for name, bounds in months.all():
        op.execute(f"CREATE TABLE {name.replace('documents', 'search', 1)} PARTITION OF search {bounds}")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE search_rows")
    op.execute("DROP TABLE search")
    op.drop_table("search_queue")
