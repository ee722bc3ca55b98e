"""Waypost beside what teams use instead: BullMQ, Celery, procrastinate and django-post_office."""
