"""Feishu or Lark (飞书): a card by the robot of a group."""
