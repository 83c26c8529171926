// Package behalf holds the nouns of the house and their rules: projects, users, accounts, workflows, events, runs,
// records, results and failures, one file a noun.
//
// It never talks to anything: no NATS, no HTTP, no Vault, no clock and no process. Everything else stands on it.
package behalf

// FormatVersion is the `v` that every stored record carries. A release reads the one before and writes what the one
// before can read; changes are additive.
const FormatVersion = 1
