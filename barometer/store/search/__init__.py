"""Full-text search: the index, its terms, queries and their summary."""
