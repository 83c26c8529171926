package scan_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
	"github.com/behalf-dev/behalf/pkg/bus/scan"
)

// Of a stream of two subjects, one is read.
func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 scanned.here first
	// 3 scanned.here third
}

func example(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "behalf-example-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of the example
	server, err := embedded.Start(embedded.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer server.Close()
	conn, err := bus.Connect(ctx, bus.ConnConfig{InProcess: server, Creds: server.Creds(behalf.Development)}, zerolog.Nop())
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn.NATS())
	if err != nil {
		return err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "SCANNED", Subjects: []string{"scanned.*"}}); err != nil {
		return err
	}
	for _, m := range [][2]string{{"here", "first"}, {"there", "second"}, {"here", "third"}} {
		if _, err := js.Publish(ctx, "scanned."+m[0], []byte(m[1])); err != nil {
			return err
		}
	}
	return scan.Messages(ctx, js, scan.Query{Stream: "SCANNED", Filter: "scanned.here", Most: 10}, func(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
		fmt.Println(meta.Sequence.Stream, m.Subject(), string(m.Data()))
		return true
	})
}
