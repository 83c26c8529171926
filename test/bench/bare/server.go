package main

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded starts a JetStream server in this process, with no port, and with the default sync of its files. Whoever
// called shuts it down.
func embedded(dir string) (*server.Server, error) {
	if dir == "" {
		return nil, errors.New("-dir is missing")
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "bare",
		JetStream:  true,
		StoreDir:   dir,
		DontListen: true,
		NoSigs:     true,
		NoLog:      true,
	})
	if err != nil {
		return nil, err
	}
	ns.Start()
	if !ns.ReadyForConnections(10 * time.Second) {
		ns.Shutdown()
		return nil, errors.New("the embedded nats-server does not get ready")
	}
	return ns, nil
}
