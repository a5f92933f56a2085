"""``python -m barometer`` is ``barometer``."""

from barometer.cli import main

if __name__ == "__main__":
    main()
