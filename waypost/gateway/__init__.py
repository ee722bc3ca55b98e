"""The gateway: HTTP and SMTP for applications, and webhooks that report to them."""
