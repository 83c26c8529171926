//go:build integration

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain takes the built programs away again.
func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(shared.dir)
	os.Exit(code)
}

// The programs are built once for all tests: the shipped binary, the same with failpoints, and nats-server of the version
// that go.mod names.
var (
	behalfProgram    = sync.OnceValues(func() (string, error) { return build("behalf", "..") })
	failpointProgram = sync.OnceValues(func() (string, error) { return build("behalf-failpoint", "..", "-tags", "failpoint") })
	natsProgram      = sync.OnceValues(func() (string, error) { return build("nats-server", "github.com/nats-io/nats-server/v2") })
)

// shared is what all tests of the process share.
var shared = struct {
	sync.Mutex
	dir      string          // of the programs
	reserved map[string]bool // addresses that a test was given
	shown    map[string]bool // logs of tests that failed
}{reserved: map[string]bool{}, shown: map[string]bool{}}

func build(name, pkg string, args ...string) (string, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "behalf-test-")
		if err != nil {
			return "", err
		}
		shared.dir = dir
	}
	out := filepath.Join(shared.dir, name)
	args = append([]string{"build", "-buildvcs=false", "-o", out}, append(args, pkg)...)
	if b, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, b)
	}
	return out, nil
}

func program(t *testing.T, of func() (string, error)) string {
	t.Helper()
	path, err := of()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// node is the Node binary that steps run in. Without one there is nothing to test.
func node(t *testing.T) string {
	t.Helper()
	path := os.Getenv("BEHALF_NODE")
	if path == "" {
		t.Fatal("BEHALF_NODE must name a Node 24: make test-integration finds one")
	}
	return path
}

// process is a real process, whose output lies in a file.
type process struct {
	name, log string
	cmd       *exec.Cmd
	ended     chan struct{} // closed when it has ended and was waited for
}

// start starts a process that is killed at the end of the test, and whose last words are shown if the test fails.
func start(t *testing.T, dir, name string, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the child has its own copy
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(foreign(os.Environ()), env...)
	p.cmd.Dir = dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // also when the test itself is killed
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && firstOf(p.log) {
			t.Logf("the end of %s:\n%s", p.log, p.tail())
		}
	})
	return p
}

// firstOf says whether a log is shown for the first time: a process that was started again went on in its file.
func firstOf(log string) bool {
	shared.Lock()
	defer shared.Unlock()
	seen := shared.shown[log]
	shared.shown[log] = true
	return !seen
}

// foreign is the environment without what would configure us.
func foreign(env []string) []string {
	var left []string
	for _, pair := range env {
		if !strings.HasPrefix(pair, "BEHALF_") {
			left = append(left, pair)
		}
	}
	return left
}

// kill is kill -9, awaited. A process that has ended already is fine.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// signal sends a signal that the process may take its time with.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s to %s: %v", s, p.name, err)
	}
}

func (p *process) output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *process) tail() string {
	const n = 3000
	b := []byte(p.output())
	return string(bytes.TrimSpace(b[max(0, len(b)-n):]))
}

// serves waits until a URL answers 200.
func (p *process) serves(t *testing.T, url string) {
	t.Helper()
	p.until(t, "serve "+url, func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// until waits for a condition while the process lives.
func (p *process) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	eventually(t, 30*time.Second, p.name+" does not "+what, func() bool {
		select {
		case <-p.ended:
			if !done() {
				t.Fatalf("%s ended by itself:\n%s", p.name, p.tail())
			}
		default:
		}
		return done()
	})
}

// eventually waits for a condition of something that runs beside us.
func eventually(t *testing.T, patience time.Duration, otherwise string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.Tick(20 * time.Millisecond); !done(); {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("%s within %s", otherwise, patience)
		}
	}
}

// freeAddr is a loopback address on which nobody listens at the moment, and which no other test of ours was given.
func freeAddr(t *testing.T) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	for {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		_ = ln.Close()
		if !shared.reserved[addr] {
			shared.reserved[addr] = true
			return addr
		}
	}
}

// command runs a command to its end, and returns what it printed and its exit code.
func command(t *testing.T, dir, stdin string, env []string, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(stdin), &out, &complaint
	cmd.Env = append(foreign(os.Environ()), env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %v: %v", program, args, err)
	}
	return out.String(), complaint.String(), cmd.ProcessState.ExitCode()
}
