"""Standards of the outside world: OneRoster in; later OneRoster and Ed-Fi out."""
