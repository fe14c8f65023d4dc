// Package otlpjson reads spans out of JSON files: OTLP/JSON, and what the APIs of Jaeger and Tempo answer.
//
//	OTLP/JSON, the Collector's file exporter  {"resourceSpans": [...]}
//	Tempo /api/traces/ID                      {"batches": [...]}, ids in base64
//	Tempo /api/v2/traces/ID                   {"trace": {"resourceSpans": [...]}}, ids in base64
//	Jaeger /api/v3/traces...                  {"result": {"resourceSpans": [...]}}
//	Jaeger /api/traces..., its UI's download  {"data": [{"spans": [...], "processes": {...}}]}
//
// A list of such documents is read as each of them. A file holds one document a line, or documents printed over
// many lines, one behind the other; plain or gzip. What cannot be read is told with its line, and the rest is
// read: it never panics, and never holds more than one document of at most MaxDocument bytes.
//
// It reads what the Python package cxotel.otlp reads, and says the same sentences about what neither can read.
// Hence a JSON reader of its own: whole numbers of any size, NaN, text that is no UTF-16, the order of an
// object's keys, and the words and places of json.JSONDecodeError cannot be had from encoding/json.
package otlpjson
