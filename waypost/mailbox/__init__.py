"""The development mailbox: takes mail by SMTP and texts by HTTP, keeps them as files, shows them on pages.

Nothing leaves this machine. An address whose local part is `refused` is refused, so that a fallback
can be seen.
"""
