"""Every text of the screens, in Chinese and English."""
