"""``kill -9`` of everything, at named points and at random; the rows end as if nothing had happened."""
