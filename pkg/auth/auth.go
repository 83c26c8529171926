// Package auth makes and checks what our customers' backends prove themselves with: client secrets, and the short-lived
// tokens that the API signs and every role verifies.
//
// It never stores a secret, never speaks HTTP, and never trusts a word of a token before its signature: what a token may
// do is compared on every request with the client's record.
package auth

import (
	"cmp"
	"time"
)

const (
	issuer    = "behalf"
	audience  = "behalf"
	tokenType = "at+jwt"
	algorithm = "EdDSA"

	// maxToken is the longest token that is looked at, in bytes. Ours have about 500.
	maxToken = 8 << 10
	// maxLifetime bounds what a verifier believes, whatever a signer was configured to.
	maxLifetime = time.Hour
)

// Config tunes signers and verifiers.
type Config struct {
	// Lifetime of a token. At most an hour.
	//
	// Defaults to one hour.
	Lifetime time.Duration
	// Leeway forgives clocks that differ.
	//
	// Defaults to 30 seconds.
	Leeway time.Duration
	// Cached is how many verified tokens are remembered, give or take a factor of two.
	//
	// Defaults to 10,000.
	Cached int
}

func (c Config) withDefaults() Config {
	c.Lifetime = min(cmp.Or(c.Lifetime, maxLifetime), maxLifetime)
	c.Leeway = cmp.Or(c.Leeway, 30*time.Second)
	c.Cached = cmp.Or(c.Cached, 10_000)
	return c
}
