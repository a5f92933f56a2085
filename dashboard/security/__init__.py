"""Log-in, OpenID, rate limits, checks of requests, security headers."""
