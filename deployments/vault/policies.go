// Package policies carries the policies of Vault that ship inside the binary, one file for each role in each
// environment. The ingress has none.
//
// It never reads the disk and never talks to Vault: `behalf provision vault` installs them.
package policies

import "embed"

//go:embed *.hcl
var files embed.FS

// All is every policy by the name of its role: worker-production. They name mounts and policies with the prefix
// "behalf-".
func All() map[string]string {
	all := map[string]string{}
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil // they are embedded above, or this did not compile
	}
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err == nil {
			all[entry.Name()[:len(entry.Name())-len(".hcl")]] = string(text)
		}
	}
	return all
}
