"""For the tests of types: sends requests and returns the messages, without a server.

It renders, sends and records as a worker does, over a ledger of its own in a temporary folder. The messages
go to channels in memory.
"""

from waypost.testing.sending import NotSent, Sent, sample, sent

__all__ = ["NotSent", "Sent", "sample", "sent"]
