"""DingTalk (钉钉): Markdown by the robot of a group."""
