"""WebUI programs, each behind one small adapter; what differs between them and their versions stays in here."""
