package cli

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// devCommand is `behalf dev` as a process of its own, on free ports and with no port for NATS.
func devCommand(t *testing.T, dataDir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "behalf", append([]string{"dev"}, args...)...)
	cmd.Env = append(os.Environ(), "BEHALF_DATA_DIR="+dataDir, "BEHALF_ADDR=127.0.0.1:0", "BEHALF_METRICS_ADDR=127.0.0.1:0",
		"BEHALF_PRACTICE_ADDR=127.0.0.1:0", "BEHALF_NATS_ADDR=none", "BEHALF_LOG_LEVEL=error")
	return cmd
}

// started returns when the process serves. It is killed, at the latest, at the end of the test.
func started(t *testing.T, cmd *exec.Cmd) (kill func()) {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the process
			return kill
		}
	}
	kill()
	t.Fatalf("dev does not serve:\n%s", errs.String())
	return kill
}

// What dev held when it was killed comes back soon after its next start: nobody else can have it.
func TestKilledDevTakesItsRunsUpAgain(t *testing.T) {
	t.Parallel()
	const soon = 20 * time.Second // the default of 30 for workers apart does not pass
	begun := make(chan struct{}, 10)
	vendor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done() // until the step is no more
	}))
	t.Cleanup(vendor.Close)
	home := t.TempDir()
	flow := filepath.Join(home, "flows", "call")
	for name, text := range map[string]string{
		"workflow.yaml": "name: Call\ntriggers:\n  - {type: http, auth: oauth, respond: immediate}\nsteps:\n  - {name: call, run: call.mjs}\n",
		"call.mjs":      "export default defineComponent({ async run() { await fetch(\"" + vendor.URL + "\"); } });\n",
	} {
		if err := os.MkdirAll(flow, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(flow, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(home, "data")
	kill := started(t, devCommand(t, data, filepath.Join(home, "flows")))
	invoke(t, data, "call")
	select {
	case <-begun:
	case <-time.After(soon):
		t.Fatal("the step has not begun")
	}
	kill()
	killed := time.Now()
	started(t, devCommand(t, data, filepath.Join(home, "flows")))
	select {
	case <-begun:
		t.Logf("it took %s", time.Since(killed).Round(time.Millisecond))
	case <-time.After(soon):
		t.Fatalf("it was not taken up within %s", soon)
	}
}

// invoke starts one run of a workflow of a running dev, as a user, and does not wait for it.
func invoke(t *testing.T, dataDir, workflow string) {
	t.Helper()
	said := terminal{t, dataDir}.said
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, said("endpoints", "url", workflow), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{
		"Authorization": {"Bearer " + said("token")}, "X-Pd-Environment": {"development"}, "X-Pd-External-User-Id": {"abc-123"},
	}
	if status, body := exchange(t, request); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
}

// A port that is taken is told at once, with its address and what to do.
func TestDevPortsInUse(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for flag, hint := range map[string]string{
		"--nats-addr": "BEHALF_NATS_ADDR names another port, or none", "--practice-addr": "BEHALF_PRACTICE_ADDR", "--addr": "BEHALF_ADDR",
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			cmd := devCommand(t, t.TempDir(), flag, taken.Addr().String())
			began := time.Now()
			out, err := cmd.CombinedOutput()
			if took := time.Since(began); took > 8*time.Second { // NATS itself tries for 10
				t.Errorf("it took %s", took)
			}
			if err == nil || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("it ended with %v", err)
			}
			for _, part := range []string{"listen at " + taken.Addr().String(), "address already in use", "hint: is another", hint} {
				if !strings.Contains(string(out), part) {
					t.Errorf("it does not say %q:\n%s", part, out)
				}
			}
		})
	}
}

// With --tls-addr everything answers by https too, which the command line believes by the authority in the data folder.
func TestDevSpeaksTLS(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	probe, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := probe.Addr().String()
	_ = probe.Close()
	started(t, devCommand(t, data, "--tls-addr", addr))
	environment := map[string]string{"BEHALF_DATA_DIR": data}
	said := func() (string, string, int) {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"endpoints", "url", "notify"}, world{
			lookupEnv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
			stdin:     strings.NewReader(""), stdout: &out, stderr: &errs,
		})
		return out.String(), errs.String(), code
	}
	plain, errs, code := said()
	if code != 0 {
		t.Fatalf("by http it ends with %d\n%s", code, errs)
	}
	file, err := readDevFile(data)
	if err != nil {
		t.Fatal(err)
	}
	environment["BEHALF_API_URL"] = "https://" + addr
	if secure, errs, code := said(); code != 0 || secure != plain {
		t.Errorf("by https it ends with %d and says %q\n%s", code, secure, errs)
	}

	elsewhere := t.TempDir() // where nobody has heard of this authority
	environment["BEHALF_DATA_DIR"], environment["BEHALF_CLIENT_ID"], environment["BEHALF_CLIENT_SECRET"] = elsewhere, string(file.ClientID), file.ClientSecret
	if _, errs, code := said(); code != 1 || !strings.Contains(errs, "the certificate of https://"+addr+" is not to be believed") || !strings.Contains(errs, "hint: BEHALF_API_CA") {
		t.Errorf("without the authority it ends with %d\n%s", code, errs)
	}
	environment["BEHALF_API_CA"] = localca.Path(data)
	if secure, errs, code := said(); code != 0 || secure != plain {
		t.Errorf("told of the authority it ends with %d and says %q\n%s", code, secure, errs)
	}
}
