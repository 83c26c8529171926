// Package guest holds what runs inside a sandbox on our behalf: the guest of each language, as embedded files.
//
// It never runs on our side, and nothing of ours trusts what it says: the author's code shares its process.
package guest

import _ "embed"

// Node is the guest of Node steps, a CommonJS script for `node -e`.
//
//go:embed node.cjs
var Node string
