package store

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// The most that a value may have, in bytes. All fit into the server's default payload of 1 MiB.
const (
	maxDefinition = 768 << 10
	maxRecord     = 64 << 10
	maxPerson     = 128 << 10 // a user's config has 64 KiB
	maxSealed     = 128 << 10
	maxLease      = 4 << 10
)

// keepMarkers is how long a deleted key's marker stays: longer than any watch can lag without being made anew, and
// short, because the key of a user names the user.
const keepMarkers = time.Hour

// Buckets lists the buckets of an environment, for the provisioner.
func Buckets(env behalf.Environment, replicas int) []jetstream.KeyValueConfig {
	bucket := func(name, what string, size int32) jetstream.KeyValueConfig {
		return jetstream.KeyValueConfig{
			Bucket: name, Description: what, MaxValueSize: size, History: 1, Storage: jetstream.FileStorage, Replicas: replicas,
			LimitMarkerTTL: keepMarkers, // allows markers to end by themselves
		}
	}
	return []jetstream.KeyValueConfig{
		bucket(subject.Definitions(env), "projects, workflows, versions and endpoints", maxDefinition),
		bucket(subject.Clients(env), "OAuth clients and public keys", maxRecord),
		bucket(subject.Users(env), "external users and accounts", maxPerson),
		bucket(subject.Connecting(env), "connect tokens, and consents under way", maxRecord),
		bucket(subject.Sealed(env), "sealed credentials", maxSealed),
		bucket(subject.Leases(env), "leases, and what was begun under them", maxLease),
	}
}

// ObjectStore is the object store of an environment, for the provisioner.
func ObjectStore(env behalf.Environment, replicas int) jetstream.ObjectStoreConfig {
	return jetstream.ObjectStoreConfig{
		Bucket: subject.Objects(env), Description: "code and what is too large for its place",
		Storage: jetstream.FileStorage, Replicas: replicas,
	}
}
