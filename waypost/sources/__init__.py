"""Sources of who is due: rows of a CSV or JSONL file, or of a query, read in groups and accepted as requests.

Rows are streamed: memory holds a few hundred at a time, whatever the source has.
"""
