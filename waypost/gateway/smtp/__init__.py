"""SMTP submission: mails of applications that speak nothing else become notifications."""
