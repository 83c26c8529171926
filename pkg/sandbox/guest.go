package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

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

// guest is a child that has said hello. It runs one run at a time, and whoever holds it is the only one to touch it.
//
// Nobody reads while it has nothing to do: what it says then is never right, and is found by quiet before its next run.
type guest struct {
	proc   *process
	cfg    Config
	frames *frameReader

	key  Key
	sent map[string]string // source by file
	runs int
	buf  []byte

	logs    []behalf.Log // of the run in flight
	logged  int
	unknown int   // frames of unknown types
	retired bool  // it wants no further run
	broken  error // the rule that it broke
}

// startGuest starts a child and waits for its hello.
func startGuest(ctx context.Context, l launcher, cfg Config) (*guest, error) {
	proc, err := startProcess(ctx, l.cmd)
	if err != nil {
		return nil, err
	}
	g := &guest{proc: proc, cfg: cfg, frames: newFrameReader(proc.conn), sent: map[string]string{}}
	if err := g.greet(ctx); err != nil {
		g.close()
		return nil, err
	}
	if err := l.lim.apply(proc.cmd.Process.Pid); err != nil {
		g.close()
		return nil, fmt.Errorf("limits of a guest: %w", err)
	}
	return g, nil
}

// greet waits for hello. The end of ctx, or of the time for it, is the child's.
func (g *guest) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, g.cfg.StartTimeout, errors.New("it said no hello in time"))
	defer cancel()
	stop := context.AfterFunc(ctx, g.proc.kill)
	f, err := g.frames.next()
	if !stop() {
		<-g.proc.done
		return fmt.Errorf("start of a guest: %w", context.Cause(ctx))
	}
	switch {
	case errors.Is(err, errEnd):
		g.proc.end()
		return fmt.Errorf("the guest ended before its hello (%s): %.300s", g.proc.exit().words(nil), g.proc.tail.bytes())
	case err != nil:
		return breach(err)
	case f.Type != typeHello:
		return breach(fmt.Errorf("%.40q out of order", f.Type))
	case f.Protocol != protocol:
		return fmt.Errorf("the guest speaks protocol %d, not %d", f.Protocol, protocol)
	}
	return nil
}

func breach(err error) error { return fmt.Errorf("the guest broke the protocol: %w", err) }

// close ends the guest and waits until nothing of it is left.
func (g *guest) close() {
	g.proc.kill()
	_ = g.proc.conn.Close()
}

// spent says that the guest may be given no further run.
func (g *guest) spent() bool {
	select {
	case <-g.proc.done:
		return true
	default:
		return g.retired || g.broken != nil || g.runs >= g.cfg.MaxRuns
	}
}

// fit says that the guest may be given its next run, now.
func (g *guest) fit() bool { return !g.spent() && g.quiet() }

// quiet says that the guest has said nothing since its last run, and has not hung up: whatever it said now would be out
// of order, or the wish to retire.
func (g *guest) quiet() bool {
	if g.frames.r.Buffered() > 0 {
		return false
	}
	raw, err := g.proc.conn.SyscallConn()
	if err != nil {
		return false
	}
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, peeked = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	})
	return err == nil && errors.Is(peeked, unix.EAGAIN)
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
	g.logs, g.logged = nil, 0

	began := time.Now()
	stop := context.AfterFunc(ctx, g.proc.kill)
	_, writeErr := g.proc.conn.Write(buf) // a guest that is gone is told by its end
	clear(buf)                            // it carries the run's secrets
	if g.buf = buf; cap(buf) > 64<<10 {
		g.buf = nil
	}
	f, err := g.hear(id)
	if !stop() {
		<-g.proc.done // the kill has begun: wait for it
	}
	reply := Reply{Duration: time.Since(began), Logs: g.logs}
	if err != nil {
		return g.cutShort(ctx, reply, errors.Join(writeErr, err))
	}
	reply.Exports, reply.Response, reply.Exit, reply.Err = f.Exports, f.Response, f.Exit, f.Err
	return reply, nil
}

// newID names a run within its guest. It cannot be guessed, so that a result sent too early is one of no run; it fits a
// number of JavaScript.
func newID() uint64 {
	return rand.Uint64()>>11 | 1 //nolint:gosec // G404: whoever shares the guest's process can read it anyway
}

// hear reads until the result of a run. An error is the end of the guest: its own, or of our patience with it.
func (g *guest) hear(id uint64) (frame, error) {
	for {
		f, err := g.frames.next()
		if err == nil {
			err = g.take(f, id)
		}
		switch {
		case errors.Is(err, errEnd):
			g.proc.end()
			return frame{}, err
		case err != nil:
			g.broken = breach(err)
			g.proc.kill()
			return frame{}, err
		case f.Type == typeResult:
			return f, nil
		}
	}
}

// take deals with one frame, or says which rule it breaks.
func (g *guest) take(f frame, id uint64) error {
	switch f.Type {
	case typeLogs, typeResult:
		if f.ID != id {
			return fmt.Errorf("%s of no run in flight", f.Type)
		}
		if len(f.Exports) > 0 && f.Exports[0] != '{' {
			return errors.New("exports are no object")
		}
		g.keep(f.Logs)
		g.retired = g.retired || f.Last
	case typeRetire:
		g.retired = true
	case typeHello, typeUnsupported:
		return fmt.Errorf("%q out of order", f.Type)
	default:
		return g.refuse(f)
	}
	return nil
}

// keep adds lines to the logs of the run, as far as there is room.
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

// cutShort tells how a run ended without a result. The guest is gone.
func (g *guest) cutShort(ctx context.Context, reply Reply, err error) (Reply, error) {
	ended := g.proc.exit()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		reply.Cut = true
	case ctx.Err() != nil:
		return Reply{}, fmt.Errorf("run in a guest: %w", errors.Join(context.Cause(ctx), err))
	case g.broken != nil:
		reply.Died = g.broken.Error()
	default:
		reply.Died = ended.words(g.proc.tail.bytes())
	}
	return reply, nil
}
