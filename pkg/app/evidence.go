package app

import (
	"maps"
	"net/url"
	"slices"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// Evidence says from where the facts of an app's file are known. No code reads it: it is for whoever must decide whether
// to believe a fact, and for the test that holds our own files against it.
type Evidence struct {
	// Sources is the address of the public documentation of a fact, by the fact's name.
	Sources map[string]string
	// Unverified says of a fact what was not found. Such a fact is left empty in the file, or has a value that is safe
	// either way.
	Unverified map[string]string
}

// FactNames lists what may have a source.
func FactNames() []string {
	return []string{
		"base_url", "hosts", "send", "fields", "authorize", "token", "revoke", "scopes", "authorize_params", "pkce", "client", "refresh",
		"format", "headers", "answer", "errors", "lifetime", "grace", "idle", "refresh_lifetime", "test",
	}
}

func readEvidence(sources, unverified strict.Value) Evidence {
	e := Evidence{
		Sources:    readFacts(sources, "write sources: { authorize: https://… }"),
		Unverified: readFacts(unverified, "write unverified: { grace: what was not found }"),
	}
	for _, name := range slices.Sorted(maps.Keys(e.Sources)) {
		if u, err := url.Parse(e.Sources[name]); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			sources.Mistake("the source of "+name+" must be an https URL", "write https://…")
		}
		if _, both := e.Unverified[name]; both {
			unverified.Mistake(name+" has a source", "leave it out here, or there")
		}
	}
	return e
}

func readFacts(value strict.Value, hint string) map[string]string {
	if !value.Given() {
		return nil
	}
	fields, _ := value.Shaped(strict.Shape{Known: FactNames()}, hint)
	facts := make(map[string]string, len(fields.Names()))
	for _, name := range fields.Names() {
		if text, ok := fields.Field(name).Text(hint); ok {
			facts[name] = text
		}
	}
	return facts
}
