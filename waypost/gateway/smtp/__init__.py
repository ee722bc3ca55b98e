"""SMTP submission: mails of applications that only speak SMTP become notifications."""
