package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// maxLogs bounds the logs of a run in bytes, with logCost for each line. A well-mannered guest cuts them itself, and says
// so in a line of its own, for which there is room.
const (
	maxLogs = 256<<10 + 1<<10
	logCost = 32
)

// maxUnknown is how many frames of unknown types are answered before the guest counts as broken.
const maxUnknown = 16

// guest is a child that has said hello. It runs one run at a time.
type guest struct {
	proc *process
	cfg  Config
	// over is closed when nothing more will be read.
	over chan struct{}
	// hello and result carry what the reader found; both have room for the one that can be due.
	hello   chan frame
	result  chan frame
	unknown int // the reader's own

	// Owned by whoever holds the guest: one run at a time.
	key  Key
	sent map[string]string // source by file
	runs int
	buf  []byte

	mu       sync.Mutex
	inFlight uint64 // the run that the guest may speak of; 0 for none
	logs     []behalf.Log
	logged   int
	retired  bool  // it wants no further run
	broken   error // the rule that it broke
}

// startGuest starts a child and waits for its hello.
func startGuest(ctx context.Context, l launcher, cfg Config) (*guest, error) {
	proc, err := startProcess(ctx, l.cmd)
	if err != nil {
		return nil, err
	}
	g := &guest{
		proc: proc, cfg: cfg, over: make(chan struct{}), sent: map[string]string{},
		hello: make(chan frame, 1), result: make(chan frame, 1),
	}
	go g.read()
	if err := g.greet(ctx, l.lim); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *guest) greet(ctx context.Context, lim limits) error {
	ctx, cancel := context.WithTimeoutCause(ctx, g.cfg.StartTimeout, errors.New("it said no hello in time"))
	defer cancel()
	select {
	case f := <-g.hello:
		if f.Protocol != protocol {
			return fmt.Errorf("the guest speaks protocol %d, not %d", f.Protocol, protocol)
		}
		return lim.apply(g.proc.cmd.Process.Pid)
	case <-g.over:
		if err := g.breach(); err != nil {
			return err
		}
		<-g.proc.done
		return fmt.Errorf("the guest ended before its hello (%s): %.300s", g.proc.exit().words(nil), g.proc.tail.bytes())
	case <-ctx.Done():
		return fmt.Errorf("start of a guest: %w", context.Cause(ctx))
	}
}

// close ends the guest and waits until nothing of it is left.
func (g *guest) close() {
	g.proc.kill()
	<-g.over
}

// usable says whether the guest may be given another run.
func (g *guest) usable() bool {
	select {
	case <-g.over:
		return false
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.retired && g.broken == nil && g.runs < g.cfg.MaxRuns
}

// breach is the rule that the guest broke, nil while it broke none.
func (g *guest) breach() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

// read is the one reader of the guest's frames. It ends with the guest's end, and ends the guest that breaks a rule.
func (g *guest) read() {
	defer close(g.over)
	defer func() { _ = g.proc.conn.Close() }()
	frames := newFrameReader(g.proc.conn)
	for greeted := false; ; greeted = true {
		f, err := frames.next()
		if err == nil {
			err = g.take(f, greeted)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errEnd) {
			g.proc.end()
			return
		}
		g.fail(err)
		g.proc.kill()
		return
	}
}

func (g *guest) fail(err error) {
	select {
	case <-g.proc.done: // cut off by its end, or by ours
		return
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = fmt.Errorf("the guest broke the protocol: %w", err)
}

// take hands one frame on, or says which rule it breaks.
func (g *guest) take(f frame, greeted bool) error {
	if greeted == (f.Type == typeHello) {
		return fmt.Errorf("%.40q out of order", f.Type)
	}
	switch f.Type {
	case typeHello:
		g.hello <- f
	case typeLogs:
		return g.takeLogs(f)
	case typeResult:
		if err := g.takeResult(f); err != nil {
			return err
		}
		g.result <- f
	case typeRetire:
		g.retire()
	case typeUnsupported:
		return errors.New("it does not know what it was sent")
	default:
		return g.refuse(f)
	}
	return nil
}

func (g *guest) takeLogs(f frame) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.ID == 0 || f.ID != g.inFlight {
		return errors.New("logs of no run in flight")
	}
	g.keep(f.Logs)
	return nil
}

// takeResult ends the run in flight: what follows speaks of none.
func (g *guest) takeResult(f frame) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.ID == 0 || f.ID != g.inFlight {
		return errors.New("result of no run in flight")
	}
	if len(f.Exports) > 0 && f.Exports[0] != '{' {
		return errors.New("exports are no object")
	}
	g.keep(f.Logs)
	g.inFlight = 0
	g.retired = g.retired || f.Last
	return nil
}

// keep adds lines to the logs of the run, as far as there is room. The lock is held.
func (g *guest) keep(lines []logLine) {
	for _, line := range lines {
		g.logged += len(line.Text) + logCost
		if g.logged > maxLogs {
			return
		}
		stream := "stdout"
		if line.Stream == "stderr" {
			stream = "stderr"
		}
		g.logs = append(g.logs, behalf.Log{At: time.UnixMilli(line.At).UTC(), Stream: stream, Text: line.Text})
	}
}

func (g *guest) retire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired = true
}

// refuse answers a frame of a type that this release does not know: the guest may be newer.
func (g *guest) refuse(f frame) error {
	if g.unknown++; g.unknown > maxUnknown {
		return errors.New("too many frames of unknown types")
	}
	buf := append(openFrame(nil), `{"type":"unsupported","of":`+quote(fmt.Sprintf("%.40s", f.Type))+`}`...)
	if err := closeFrame(buf, 0); err != nil {
		return err
	}
	if _, err := g.proc.conn.Write(buf); err != nil {
		return fmt.Errorf("answer to an unknown type: %w", err)
	}
	return nil
}

// do runs one job to its end. The context's end is the guest's.
func (g *guest) do(ctx context.Context, job Job) (Reply, error) {
	g.runs++
	id := newID()
	known, seen := g.sent[job.File]
	if seen && known != job.Source {
		return Reply{}, fmt.Errorf("two sources of %s in version %s", job.File, job.Key.Version)
	}
	buf, err := job.appendFrames(g.buf[:0], id, !seen)
	if err != nil {
		return Reply{}, err
	}
	g.sent[job.File] = job.Source
	g.begin(id)

	began := time.Now()
	stop := context.AfterFunc(ctx, g.proc.kill)
	_, writeErr := g.proc.conn.Write(buf) // a guest that is gone is told by its end
	clear(buf)                            // it carries the run's secrets
	if g.buf = buf; cap(buf) > 64<<10 {
		g.buf = nil
	}
	f, ok := g.await()
	if !stop() {
		<-g.over // the kill has begun: wait for it
	}
	reply := Reply{Duration: time.Since(began)}
	if !ok {
		return g.cutShort(ctx, reply, writeErr)
	}
	reply.Exports, reply.Response, reply.Exit, reply.Err, reply.Logs = f.Exports, f.Response, f.Exit, f.Err, g.takeLines()
	return reply, nil
}

// newID names a run within its guest. It cannot be guessed, so that a result sent too early is one of no run; it fits a
// number of JavaScript.
func newID() uint64 {
	return rand.Uint64()>>11 | 1 //nolint:gosec // G404: whoever shares the guest's process can read it anyway
}

func (g *guest) begin(id uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight, g.logs, g.logged = id, nil, 0
}

func (g *guest) takeLines() []behalf.Log {
	g.mu.Lock()
	defer g.mu.Unlock()
	lines := g.logs
	g.logs = nil
	return lines
}

// await waits for the result, or for the guest's end: then there may be none.
func (g *guest) await() (frame, bool) {
	select {
	case f := <-g.result:
		return f, true
	case <-g.over:
	}
	select {
	case f := <-g.result: // it came first
		return f, true
	default:
		return frame{}, false
	}
}

// cutShort tells how a run ended without a result. The guest is gone.
func (g *guest) cutShort(ctx context.Context, reply Reply, writeErr error) (Reply, error) {
	<-g.proc.done
	reply.Logs = g.takeLines()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		reply.Cut = true
	case ctx.Err() != nil:
		return Reply{}, fmt.Errorf("run in a guest: %w", context.Cause(ctx))
	case g.breach() != nil:
		reply.Died = g.breach().Error()
	case writeErr != nil && len(reply.Logs) == 0 && g.proc.exit() == exit{}:
		return Reply{}, fmt.Errorf("the guest was gone before the run: %w", writeErr)
	default:
		reply.Died = g.proc.exit().words(g.proc.tail.bytes())
	}
	return reply, nil
}
