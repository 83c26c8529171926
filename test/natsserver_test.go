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

// natsProcess is a nats-server of its own process, with an account for each environment, that can be killed and
// started again on the same port and files.
type natsProcess struct {
	*process
	dir, addr, health string
	creds             map[behalf.Environment]string
}

func startNATS(t *testing.T, dir string) *natsProcess {
	t.Helper()
	n := &natsProcess{dir: dir, addr: freeAddr(t), health: freeAddr(t), creds: make(map[behalf.Environment]string, 2)}
	n.configure(t)
	n.start(t)
	return n
}

func (n *natsProcess) url() string { return "nats://" + n.addr }

func (n *natsProcess) start(t *testing.T) {
	t.Helper()
	n.process = start(t, n.dir, "nats", nil, program(t, natsProgram), "-c", filepath.Join(n.dir, "nats.conf"))
	n.serves(t, "http://"+n.health+"/healthz")
}

// configure writes the configuration of an operator with an account for each environment.
func (n *natsProcess) configure(t *testing.T) {
	t.Helper()
	operator := must(nkeys.CreateOperator())(t)
	system := newNATSAccount(t, operator, "SYS", 0)
	preload := []string{system.id + ": " + system.jwt}
	for _, env := range behalf.Environments() {
		a := newNATSAccount(t, operator, string(env), -1)
		preload = append(preload, a.id+": "+a.jwt)
		n.creds[env] = filepath.Join(n.dir, string(env)+".creds")
		a.writeUser(t, n.creds[env])
	}
	claims := jwt.NewOperatorClaims(must(operator.PublicKey())(t))
	claims.SystemAccount = system.id
	text := fmt.Sprintf("listen: %q\nhttp: %q\noperator: %q\nsystem_account: %q\nresolver: MEMORY\nresolver_preload {\n%s\n}\njetstream { store_dir: %q, max_file_store: 200GB }\n",
		n.addr, n.health, must(claims.Encode(operator))(t), system.id, strings.Join(preload, "\n"), filepath.Join(n.dir, "jetstream"))
	write(t, filepath.Join(n.dir, "nats.conf"), text)
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
func (n *natsProcess) connect(t *testing.T, env behalf.Environment) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	return connectNATS(t, n.url(), n.creds[env])
}

func connectNATS(t *testing.T, url, creds string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc := must(nats.Connect(url, nats.UserCredentials(creds), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)))(t)
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
