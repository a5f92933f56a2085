"""``python -m app`` is ``barometer``."""

from app.cli import main

if __name__ == "__main__":
    main()
