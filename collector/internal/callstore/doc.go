// Package callstore is the life of a call: what is kept while it runs, when its root is judged and let go, and what
// is said of it later. It knows no pipeline and no clock: spans and times are passed in, emissions come out.
//
//	live ──root──► held ──grace──► out ──late span──► a correction, if the verdict changed
//	  └──idle, or too long──► told (as partial) ──span──► live, ──root──► held
//
// Calls are spread over shards by trace id; no lock is over all of them. The cases of spec/lifecycle run here.
package callstore
