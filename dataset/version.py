"""The version of exphil: the one place that says it; the package, ``exphil --version`` and every run's record read it here."""

VERSION = "0.1.0"
