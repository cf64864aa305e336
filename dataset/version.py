"""The version of exphil, read by the package, ``exphil --version`` and every run's record."""

VERSION = "0.1.0"
