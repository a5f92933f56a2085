"""Parts that tests and benches share: a receiver over HTTP, a scorer by keywords, a PostgreSQL server. Not shipped."""
