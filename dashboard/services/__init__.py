"""Queries and acts that pages and the API share."""
