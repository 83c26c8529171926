//go:build integration

package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// natsServers are where a world's NATS is, with an account for each environment.
type natsServers struct {
	urls     string // with commas between
	creds    map[behalf.Environment]string
	ca       string // a file; empty without TLS. Beside it lie server.pem and server.key, for whoever serves here
	replicas int
}

// natsProcess is a nats-server of its own process that can be killed and started again on the same port and files.
type natsProcess struct {
	*process
	natsServers
	dir, addr, health string
}

func startNATS(t *testing.T, dir string) *natsProcess {
	t.Helper()
	n := &natsProcess{dir: dir, addr: freeAddr(t), health: freeAddr(t)}
	n.natsServers = natsServers{urls: "nats://" + n.addr, creds: make(map[behalf.Environment]string, 2), replicas: 1}
	write(t, filepath.Join(dir, "nats.conf"), fmt.Sprintf("listen: %q\nhttp: %q\njetstream { store_dir: %q, max_file_store: 200GB }\n%s",
		n.addr, n.health, filepath.Join(dir, "jetstream"), n.operator(t, dir)))
	n.start(t)
	return n
}

func (n *natsProcess) start(t *testing.T) {
	t.Helper()
	n.process = start(t, n.dir, "nats", nil, program(t, natsProgram), "-c", filepath.Join(n.dir, "nats.conf"))
	n.serves(t, "http://"+n.health+"/healthz")
}

// operator is the configuration of an operator with an account for each environment, whose credentials lie in a folder.
func (n *natsServers) operator(t *testing.T, dir string) string {
	t.Helper()
	operator := must(nkeys.CreateOperator())(t)
	system := newNATSAccount(t, operator, "SYS", 0)
	preload := []string{system.id + ": " + system.jwt}
	for _, env := range behalf.Environments() {
		a := newNATSAccount(t, operator, string(env), -1)
		preload = append(preload, a.id+": "+a.jwt)
		n.creds[env] = filepath.Join(dir, string(env)+".creds")
		a.writeUser(t, n.creds[env])
	}
	claims := jwt.NewOperatorClaims(must(operator.PublicKey())(t))
	claims.SystemAccount = system.id
	return fmt.Sprintf("operator: %q\nsystem_account: %q\nresolver: MEMORY\nresolver_preload {\n%s\n}\n",
		must(claims.Encode(operator))(t), system.id, strings.Join(preload, "\n"))
}

type natsAccount struct {
	key     nkeys.KeyPair
	id, jwt string
}

func newNATSAccount(t *testing.T, operator nkeys.KeyPair, name string, jetStream int64) natsAccount {
	t.Helper()
	key := must(nkeys.CreateAccount())(t)
	id := must(key.PublicKey())(t)
	claims := jwt.NewAccountClaims(id)
	claims.Name = name
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jetStream, DiskStorage: jetStream, Streams: jetStream, Consumer: jetStream}
	return natsAccount{key, id, must(claims.Encode(operator))(t)}
}

func (a natsAccount) writeUser(t *testing.T, file string) {
	t.Helper()
	user := must(nkeys.CreateUser())(t)
	signed := must(jwt.NewUserClaims(must(user.PublicKey())(t)).Encode(a.key))(t)
	write(t, file, string(must(jwt.FormatUserConfig(signed, must(user.Seed())(t)))(t)))
}

// connect looks at an environment from the side, as no part of Behalf.
func (n *natsServers) connect(t *testing.T, env behalf.Environment) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	var options []nats.Option
	if n.ca != "" {
		options = append(options, nats.RootCAs(n.ca))
	}
	return connectNATS(t, n.urls, n.creds[env], options...)
}

func connectNATS(t *testing.T, urls, creds string, options ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	options = append(options, nats.UserCredentials(creds), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	nc := must(nats.Connect(urls, options...))(t)
	t.Cleanup(nc.Close)
	return nc, must(jetstream.New(nc))(t)
}

// stored is one message of a stream.
type stored = jetstream.RawStreamMsg

// messages reads what a stream holds on a subject, without a consumer: those of work queues exclude each other.
func messages(t *testing.T, js jetstream.JetStream, stream, subject string) []*stored {
	t.Helper()
	s := must(js.Stream(t.Context(), stream))(t)
	last := must(s.Info(t.Context()))(t).State.LastSeq
	var all []*stored
	for seq := uint64(1); seq <= last; {
		m, err := s.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) { // none is left
			break
		}
		if err != nil { // who finds nothing because nobody answers has looked at nothing
			t.Fatalf("%s, message %d: %v", stream, seq, err)
		}
		all = append(all, m)
		seq = m.Sequence + 1
	}
	return all
}

// must turns an error into the end of the test.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
