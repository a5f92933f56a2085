"""The demonstration: a made-up stream that is calm at first and then is not."""
