package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a started child: its control channel, which its reader closes, and its end.
type process struct {
	cmd  *exec.Cmd
	conn *os.File
	dir  string // its own directory, removed with it; empty where it has none
	tail *tail
	done chan struct{} // closed once it has ended and is reaped
}

// endGrace is how long a child may take to end after it has closed its channel.
const endGrace = 500 * time.Millisecond

// startProcess starts a command in a session of its own (so that it is one group, and has no terminal to type into),
// with an empty environment and no descriptors but 0 to 3.
func startProcess(ctx context.Context, c command) (*process, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()

	p := &process{conn: ours, tail: &tail{}, done: make(chan struct{})}
	if c.dir == "" {
		if p.dir, err = os.MkdirTemp("", "behalf-guest-"); err != nil {
			_ = ours.Close()
			return nil, fmt.Errorf("directory of a guest: %w", err)
		}
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), c.path, c.args...) // a guest outlives the run that started it
	p.cmd.Env = []string{}
	p.cmd.Dir = cmp.Or(c.dir, p.dir)
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.Stdout, p.cmd.Stderr = p.tail, p.tail
	p.cmd.SysProcAttr = isolated()
	p.cmd.WaitDelay = time.Second // a grandchild that holds the pipes does not hold us
	if err := p.cmd.Start(); err != nil {
		_ = ours.Close()
		_ = os.RemoveAll(p.dir)
		return nil, fmt.Errorf("start %s: %w", c.path, err)
	}
	go p.reap()
	return p, nil
}

// reap waits for the end and closes done: whoever waits for done waits for this goroutine. What the process said last
// can still be read.
func (p *process) reap() {
	defer close(p.done)
	_ = p.cmd.Wait() // how it ended is in ProcessState
	_ = os.RemoveAll(p.dir)
	// Its end of the channel is closed with it, unless a grandchild holds it.
	_ = p.conn.SetWriteDeadline(time.Now())
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Second))
}

// end is for a child that has closed its channel: it is about to end by itself, and says more if it is let. One that
// stays is of no use.
func (p *process) end() {
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	select {
	case <-p.done:
	case <-grace.C:
		p.kill()
	}
}

// kill ends the child, its group and whatever it started, and waits until it is gone.
func (p *process) kill() {
	select {
	case <-p.done: // its number may be another's by now
		return
	default:
	}
	pid := p.cmd.Process.Pid
	for _, child := range descendants(pid) { // those that left the group; all of them, where there is no pid namespace
		_ = unix.Kill(child, unix.SIGKILL)
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	<-p.done
}

// exit tells how the process ended. Call it after done.
func (p *process) exit() exit {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return exit{code: p.cmd.ProcessState.ExitCode()}
	case status.Signaled():
		return exit{signal: status.Signal()}
	case status.ExitStatus() > 128: // so bubblewrap and shells tell of a signal
		return exit{signal: syscall.Signal(status.ExitStatus() - 128)}
	}
	return exit{code: status.ExitStatus()}
}

type exit struct {
	code   int
	signal syscall.Signal // 0 for none
}

// words says how the process ended, for the author of the code that it ran.
func (e exit) words(lastWords []byte) string {
	switch {
	case bytes.Contains(lastWords, []byte("heap out of memory")) || bytes.Contains(lastWords, []byte("Out of memory")):
		return "out of memory"
	case e.signal == syscall.SIGKILL:
		return "killed, perhaps for want of memory"
	case e.signal != 0:
		return "signal " + e.signal.String()
	}
	return fmt.Sprintf("process.exit(%d)", e.code)
}

// socketPair makes the control channel: our end without blocking, so that reads and writes wait in Go, and theirs.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "guest"), nil
}

// tail keeps the last of what a process wrote to its own stdout and stderr, past the guest's capture: the last words of
// a runtime that dies. It is looked at, never shown: it may be of an earlier run.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 8 << 10

// Write keeps the last 8 KiB. It never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf)
}
