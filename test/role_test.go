//go:build integration

package test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// role is one process of Behalf, at an address that it keeps when it is started again.
type role struct {
	*process
	w            *world
	binary, name string
	base         string // where it answers, at least to who asks for its health
	vars, args   []string
}

// role starts a role at an address, and waits until it serves.
func (w *world) role(name, addr string, vars []string, args ...string) *role {
	w.t.Helper()
	r := &role{w: w, binary: program(w.t, behalfProgram), name: name, base: "http://" + addr, vars: append(vars, "BEHALF_ADDR="+addr), args: args}
	if w.servers.ca != "" {
		dir := filepath.Dir(w.servers.ca)
		r.vars = append(r.vars, "BEHALF_TLS_CERT="+filepath.Join(dir, "server.pem"), "BEHALF_TLS_KEY="+filepath.Join(dir, "server.key"))
	}
	if slices.ContainsFunc(r.vars, func(v string) bool { return strings.HasPrefix(v, "BEHALF_TLS_CERT=") }) {
		r.base = "https://" + addr
	}
	r.start()
	return r
}

// another starts one more ingress.
func (w *world) another(name string) *role {
	w.t.Helper()
	return w.role(name, freeAddr(w.t), []string{"BEHALF_METRICS_ADDR=" + freeAddr(w.t)}, "ingress")
}

func (r *role) start() {
	r.w.t.Helper()
	r.process = r.w.startOf(r.binary, r.name, r.vars, r.args...)
	r.until(r.w.t, "say that it is ready", func() bool { return r.ready() == http.StatusOK })
}

// ready is what it answers to who asks whether it is ready, or 0.
func (r *role) ready() int {
	return r.w.do(must(http.NewRequest(http.MethodGet, r.base+"/readyz", nil))(r.w.t)).status
}

// of is where a workflow answers at this ingress.
func (r *role) of(d deployed) string { return r.base + "/e/" + string(d.EndpointID) }

// leaves tells the process to end, and waits until it has ended well.
func (r *role) leaves(t *testing.T) {
	t.Helper()
	r.signal(t, syscall.SIGTERM)
	r.ends(t, 0)
}

// insists tells the process to end until it has: it stops listening a moment after the first time.
func (r *role) insists(t *testing.T) {
	t.Helper()
	eventually(t, asLongAsItTakes, r.name+" does not end at once", func() bool {
		select {
		case <-r.ended:
			return true
		default:
			_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may end just now
			return false
		}
	})
}

// ends waits until the process has ended with an exit code, or by a signal: -1.
func (r *role) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(2 * asLongAsItTakes):
		t.Fatalf("%s does not end", r.name)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s ended with %d, want %d:\n%s", r.name, got, code, r.tail())
	}
}
