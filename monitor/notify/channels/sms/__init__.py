"""SMS and calls (短信、语音电话), by the webhook of whoever sends them."""
