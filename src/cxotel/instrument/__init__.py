"""Instrumentations: what other libraries do becomes part of a call, without a line in the host's code."""
