"""Commands of the roof: roles, operation, backup."""
