SELECT max(last_received) FROM call
