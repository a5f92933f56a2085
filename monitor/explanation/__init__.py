"""Why an alert: texts, terms, sources, companies."""
