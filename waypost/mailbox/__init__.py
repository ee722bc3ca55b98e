"""The development mailbox: takes mail by SMTP and short messages by HTTP, and keeps both as files.

Nothing leaves this machine. An address whose local part is `refused` is refused, so that a fallback
can be seen.
"""
