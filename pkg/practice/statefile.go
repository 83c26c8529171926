package practice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// compactAfter is how many lines are appended before the file is written anew with what is still remembered.
const compactAfter = 20_000

// stateFile is a log of entries, one JSON object a line. An entry is appended before its effect is answered for, so that
// a kill of the process forgets nothing that a caller was told. Power loss may: nothing here is worth an fsync.
//
// Unlike other locks of the house, mu is held over I/O: it is what puts the lines in order, and it guards nothing that
// a reader of the inbox waits for.
type stateFile struct {
	path string
	all  func() []entry

	mu    sync.Mutex
	file  *os.File // nil without a path, and after close
	lines int
}

// openStateFile replays the file into the vendor and writes it anew. An empty path makes a file that keeps nothing.
func openStateFile(path string, p *Practice) (*stateFile, error) {
	s := &stateFile{path: path, all: p.entries}
	if path == "" {
		return s, nil
	}
	old, err := os.ReadFile(path) //nolint:gosec // the operator named the file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Unavailable, "practice.New", err)
	}
	if err := replay(old, p.apply); err != nil {
		return nil, fault.Newf(fault.Invalid, "practice.New", "%s is not a state file of the practice app: remove it to begin anew", filepath.Base(path)).Because(err)
	}
	if err := s.rewrite(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "practice.New", err)
	}
	return s, nil
}

// replay reads every whole line. The last one may be torn: its effect was answered for to nobody.
func replay(old []byte, apply func(entry)) error {
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(old, []byte("\n"))
		if !whole {
			return nil
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		apply(e)
		old = rest
	}
}

// append writes entries down. It returns when they would survive a kill.
func (s *stateFile) append(entries ...entry) error {
	if s.path == "" {
		return nil
	}
	lines, err := encode(entries)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return errClosed
	}
	if s.lines += len(entries); s.lines > compactAfter {
		return s.rewrite() // what is to be appended is in the vendor's memory already
	}
	_, err = s.file.Write(lines)
	return err
}

// rewrite replaces the file, at once for whoever reads it, by what is remembered, and opens it for more.
func (s *stateFile) rewrite() error {
	lines, err := encode(s.all())
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = fresh.Write(lines)
	if err == nil {
		err = os.Rename(fresh.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, fresh.Close(), os.Remove(fresh.Name()))
	}
	old := s.file
	s.file, s.lines = fresh, 0
	if old != nil {
		return old.Close()
	}
	return nil
}

func (s *stateFile) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Close()
}

func encode(entries []entry) ([]byte, error) {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, e := range entries {
		if err := enc.Encode(e); err != nil {
			return nil, err
		}
	}
	return lines.Bytes(), nil
}
