"""Barometer 舆情晴雨表: settings, records, time, files, broker and store, which all other parts rest on."""

__version__ = "0.1.0"
