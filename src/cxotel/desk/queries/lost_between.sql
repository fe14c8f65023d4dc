SELECT layer, sum(calls), sum(seconds) FROM lost WHERE minute >= ? AND minute < ? GROUP BY layer
