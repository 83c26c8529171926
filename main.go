// Command behalf runs workflows on behalf of an application's end users.
package main

import (
	"os"

	"github.com/behalf-dev/behalf/pkg/cli"
)

func main() { os.Exit(cli.Main()) }
