package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Files keeps what callers sent as files, each for half an hour, under names that nobody can guess. It does not close
// its connection.
//
// Every read is of the stream's leader, a part at a time: a step may ask for a file the moment after it was stored, and
// no reader leaves anything at the server.
type Files struct {
	name   string
	leader leader
	store  jetstream.ObjectStore
}

// NewFiles opens the files of an environment, whose object store must be there. Errors: Unavailable.
func NewFiles(ctx context.Context, nc *nats.Conn, env behalf.Environment, cfg Config) (*Files, error) {
	cfg = cfg.withDefaults()
	name := subject.Files(env)
	store, err := openObjectStore(ctx, nc, cfg, name)
	if err != nil {
		return nil, err
	}
	return &Files{name, leader{nc, cfg.ReadTimeout}, store}, nil
}

// PutFile keeps a file, with words about it. Where that fails, part of it may be there until its time is over. Errors:
// Exhausted, where there is no room for more files; Unavailable.
func (f *Files) PutFile(ctx context.Context, name string, about map[string]string, content io.Reader) error {
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	_, err := f.store.Put(inner, jetstream.ObjectMeta{Name: name, Metadata: about}, whole{content})
	return failed(ctx, "store.PutFile", err)
}

// DropFile forgets a file, and does nothing where it is gone already. Errors: Unavailable.
func (f *Files) DropFile(ctx context.Context, name string) error {
	return drop(ctx, f.store, name, "store.DropFile")
}

// File opens a file, which is read while ctx lasts and must be closed. Errors: NotFound, also of one whose time is over;
// Unavailable.
func (f *Files) File(ctx context.Context, name string) (about map[string]string, content io.ReadCloser, err error) {
	m, err := f.leader.read(ctx, subject.ObjectStream(f.name), question{Last: subject.ObjectMeta(f.name, name)})
	if err != nil {
		return nil, nil, err
	}
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return nil, nil, fault.Wrap(fault.Internal, "store.File", err)
	}
	if info.Deleted {
		return nil, nil, fault.New(fault.NotFound, "store.File", "no such file")
	}
	r := &fileReader{files: f, ctx: ctx, info: info, left: info.Chunks, sum: sha256.New()}
	if err := r.next(); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	return info.Metadata, r, nil
}

// fileReader reads a file part by part. What is not what was stored ends in an error before its last part is given.
type fileReader struct {
	files *Files
	ctx   context.Context //nolint:containedctx // it is the reader's life
	info  jetstream.ObjectInfo
	part  bytes.Reader
	left  uint32 // parts
	after uint64 // the sequence of the last one
	sum   hash.Hash
}

func (r *fileReader) Read(p []byte) (int, error) {
	for r.part.Len() == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	return r.part.Read(p)
}

// Close ends the reading.
func (r *fileReader) Close() error {
	r.left = 0
	r.part.Reset(nil)
	return nil
}

// next fetches a part. Errors: io.EOF after the last one, and as File.
func (r *fileReader) next() error {
	if r.left == 0 {
		return io.EOF
	}
	m, err := r.files.leader.read(r.ctx, subject.ObjectStream(r.files.name), question{
		Seq: r.after + 1, Next: subject.ObjectChunk(r.files.name, r.info.NUID),
	})
	if err != nil {
		return err
	}
	_, _ = r.sum.Write(m.Data) // a hash takes everything
	r.left, r.after = r.left-1, m.Sequence
	if r.left == 0 && jetstream.GetObjectDigestValue(r.sum) != r.info.Digest {
		return fault.Wrap(fault.Internal, "store.File", fmt.Errorf("file of %d bytes: %w", r.info.Size, jetstream.ErrDigestMismatch))
	}
	r.part.Reset(m.Data)
	return nil
}

// whole reads as much as there is room for: each read becomes a message.
type whole struct{ from io.Reader }

func (w whole) Read(p []byte) (int, error) {
	n, err := io.ReadFull(w.from, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
