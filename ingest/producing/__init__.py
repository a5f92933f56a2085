"""``barometer produce``: files into the topic."""
