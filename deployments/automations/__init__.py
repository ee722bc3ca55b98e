"""Automations for Prefect, a file each: failed mail, a provider that is down, backlogs, missed deadlines."""
