"""Ways out: a channel opens, sends and closes. One contract, whatever the wire."""
