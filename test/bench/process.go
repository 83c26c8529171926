package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/behalf-dev/behalf/test/bench/proctree"
)

const (
	procFS = "/proc"
	// grace is how long a process may take to end by itself.
	grace = 10 * time.Second
)

// process is a process that we started, in a group of its own: an interrupt at the terminal reaches us alone, and we
// end it, once.
type process struct {
	name  string
	log   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and was waited for
}

func startProcess(log string, env []string, program string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()    // the child has its own copy
	cmd := exec.Command(program, args...) //nolint:noctx // it is ended by stop, gently first and with its tree
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{log: log, cmd: cmd, ended: make(chan struct{})}
	go func() { // stop waits for it
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process: gently, and after its grace with its group.
func (p *process) stop() error {
	if p.over() {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(grace):
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.ended
	return fmt.Errorf("%s did not end within %s and was killed", p.name, grace)
}

// killLeft kills what is left of all trees. Guests have groups of their own, and the processes above them may be gone;
// but orphans are adopted by us, so that whatever descends from us now is what we started.
func killLeft() error {
	for {
		left, err := proctree.Descendants(procFS, os.Getpid())
		if err != nil || len(left) == 0 {
			return err
		}
		for _, p := range left {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // gone in between is fine
		}
		// Each round buries one; all that were not orphans have been waited for by stop.
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for orphans: %w", err)
		}
	}
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// tail is the end of what the process printed.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-2000):]))
}
