"""Mail: text and HTML by SMTP."""
