"""How fast the dashboard is with a large store; see :mod:`bench.dashboard.__main__`."""
