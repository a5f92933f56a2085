"""The commands ``barometer alerts``, ``barometer silence`` and ``barometer notify``."""
