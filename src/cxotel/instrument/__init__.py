"""Instrumentations: what other libraries do becomes part of a call's trace without a line in the host's code."""
