"""Before the network: language detection, traditional characters, tokens and windows."""
