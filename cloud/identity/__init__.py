"""Logins, sessions behind three separate doors, roles, and the one question `may(actor, action, thing)`."""
