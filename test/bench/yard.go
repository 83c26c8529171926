package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// startPatience is how long a process may take until it serves.
const startPatience = 30 * time.Second

// yard is where the systems run: a folder for their data and logs, and the processes that were started. It ends them
// all, the last first, and takes the folder away.
type yard struct {
	dir     string
	keep    bool
	running []*process
}

func newYard(keep bool) (*yard, error) {
	if err := adoptOrphans(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "behalf-bench-")
	if err != nil {
		return nil, err
	}
	return &yard{dir: dir, keep: keep}, nil
}

func (y *yard) close() error {
	var errs []error
	for _, p := range slices.Backward(y.running) {
		errs = append(errs, p.stop())
	}
	errs = append(errs, killLeft())
	if y.keep {
		fmt.Println("data and logs:", y.dir)
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(y.dir))...)
}

// folder makes a folder for one process's data.
func (y *yard) folder(name string) (string, error) {
	dir := filepath.Join(y.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}

// build builds a program of this module, or of one it requires.
func (y *yard) build(ctx context.Context, name, pkg string) (string, error) {
	out := filepath.Join(y.dir, name)
	if _, err := os.Stat(out); err == nil {
		return out, nil // both systems need it, or the other role
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, b)
	}
	return out, nil
}

// start starts a process, which the yard will end.
func (y *yard) start(name string, env []string, program string, args ...string) (*process, error) {
	p, err := startProcess(filepath.Join(y.dir, name+".log"), env, program, args...)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.name = name
	y.running = append(y.running, p)
	return p, nil
}

// freeAddr is an address on the loopback interface that nobody listens on at the moment.
func freeAddr(ctx context.Context) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}

func freeAddrs(ctx context.Context, n int) ([]string, error) {
	var addrs []string
	for range n {
		addr, err := freeAddr(ctx)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// serves waits until the process answers 200 at the URL.
func (p *process) serves(ctx context.Context, url string) error {
	return p.until(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	})
}

// says waits for the first line that the process prints.
func (p *process) says(ctx context.Context) (string, error) {
	line := ""
	err := p.until(ctx, func() error {
		b, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		first, _, ok := strings.Cut(string(b), "\n")
		if !ok {
			return errors.New("nothing printed yet")
		}
		line = first
		return nil
	})
	return line, err
}

// until tries again and again, while the process lives and patience lasts.
func (p *process) until(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-p.ended:
			return fmt.Errorf("%s ended by itself: %w\n%s", p.name, err, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not get ready: %w\n%s", p.name, err, p.tail())
		}
	}
}
