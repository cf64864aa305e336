"""What commands show a person: help, tables, progress, charts and pages."""
