"""Microsoft Teams: an Adaptive Card by a workflow."""
