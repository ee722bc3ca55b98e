"""One file per notification type: the facts it needs, its declaration, its flow.

A file here with a `TYPE` and a flow of the same name is found and deployed; nothing is registered.
"""
