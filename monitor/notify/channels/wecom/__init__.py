"""WeCom (企业微信): Markdown by the robot of a group."""
