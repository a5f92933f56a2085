"""The demo's texts, written for it: `calm_*.yaml`, `bad_turn.yaml`, `neutral_burst.yaml`."""
