"""The topic and its log: settings, preconditions, identity, ends."""
