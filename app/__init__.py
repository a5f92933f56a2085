"""The roof: the command line, child processes and the demo. It imports every part; no part imports it."""
