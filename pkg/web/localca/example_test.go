package localca_test

import (
	"fmt"
	"os"

	"github.com/behalf-dev/behalf/pkg/web/localca"
)

func Example() {
	dir, err := os.MkdirTemp("", "localca")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // an example's folder

	ca, err := localca.Open(localca.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	server, err := ca.TLS().GetCertificate(nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(server.Leaf.DNSNames, server.Leaf.IPAddresses)
	// Output: [localhost *.localhost] [127.0.0.1 ::1]
}
