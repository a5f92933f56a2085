"""How the product is: processes, status, state of the stream."""
