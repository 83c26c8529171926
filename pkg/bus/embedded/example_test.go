package embedded_test

import (
	"fmt"
	"os"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
)

// Without an address the server opens no port: who has the credentials connects within the process.
func Example() {
	dir, err := os.MkdirTemp("", "behalf-example-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of the example
	server, err := embedded.Start(embedded.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	nc, err := nats.Connect("", nats.InProcessServer(server), nats.UserCredentialBytes([]byte(server.Creds(behalf.Development).Reveal())))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	fmt.Println(nc.IsConnected(), server.Creds(behalf.Development))
	// Output: true ***
}
