"""SMS, chat and push through Apprise."""
