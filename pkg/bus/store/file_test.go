package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

func (l *lab) files(tb testing.TB) *store.Files {
	tb.Helper()
	return must[*store.Files](tb)(store.NewFiles(tb.Context(), l.connect(tb), behalf.Development, store.Config{}))
}

// stream gives the stream behind an object store, changed.
func (l *lab) stream(tb testing.TB, name string, change func(*jetstream.StreamConfig)) jetstream.Stream {
	tb.Helper()
	js := must[jetstream.JetStream](tb)(jetstream.New(l.connect(tb)))
	s := must[jetstream.Stream](tb)(js.Stream(tb.Context(), subject.ObjectStream(name)))
	cfg := s.CachedInfo().Config
	change(&cfg)
	return must[jetstream.Stream](tb)(js.UpdateStream(tb.Context(), cfg))
}

func kept(tb testing.TB, s jetstream.Stream) uint64 {
	tb.Helper()
	return must[*jetstream.StreamInfo](tb)(s.Info(tb.Context())).State.Msgs
}

func asItIs(*jetstream.StreamConfig) {}

func TestFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	f, reader := l.files(t), l.files(t)
	about := map[string]string{"filename": "é\"\n.png", "mimetype": "image/png"}
	for _, size := range []int{0, 1, 128 << 10, 128<<10 + 1, 3 << 20} {
		content := bytes.Repeat([]byte{0, 0xff, 'x'}, size/3+1)[:size]
		if err := f.PutFile(t.Context(), "one", about, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		words, r, err := reader.File(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) || !maps.Equal(words, about) {
			t.Errorf("%d bytes: %d, %v, %v", size, len(got), words, err)
		}
		if err := iotest.TestReader(mustOpen(t, reader, "one"), content); err != nil {
			t.Error(err)
		}
	}
	for range 2 { // the second changes nothing
		if err := f.DropFile(t.Context(), "one"); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"one", "two", "", "a.b", ">", "*"} {
		_, _, err := reader.File(t.Context(), name)
		wantKind(t, err, fault.NotFound)
	}
}

func mustOpen(t *testing.T, f *store.Files, name string) io.Reader {
	t.Helper()
	_, r, err := f.File(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// A part of a form gives a few bytes at a time, which must not become a message each.
func TestAFileThatComesInPiecesIsKeptInParts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	f, content := l.files(t), strings.Repeat("0123456789", 30_000)
	if err := f.PutFile(t.Context(), "one", nil, iotest.OneByteReader(strings.NewReader(content))); err != nil {
		t.Fatal(err)
	}
	if n := kept(t, l.stream(t, subject.Files(behalf.Development), asItIs)); n != 4 { // three of 128 KiB, and the entry
		t.Errorf("%d messages", n)
	}
	if got := must[[]byte](t)(io.ReadAll(mustOpen(t, f, "one"))); string(got) != content {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestAFileThatCannotBeReadIsNotKept(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	f, broken := l.files(t), errors.New("broken")
	err := f.PutFile(t.Context(), "one", nil, io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if n := kept(t, l.stream(t, subject.Files(behalf.Development), asItIs)); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestAFullFileStoreTakesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	f := l.files(t)
	stream := l.stream(t, subject.Files(behalf.Development), func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 })
	if err := f.PutFile(t.Context(), "first", nil, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	before := kept(t, stream)
	wantKind(t, f.PutFile(t.Context(), "large", nil, bytes.NewReader(make([]byte, 2<<20))), fault.Exhausted)
	if n := kept(t, stream); n != before {
		t.Errorf("%d messages, %d before", n, before)
	}
	if got := must[[]byte](t)(io.ReadAll(mustOpen(t, f, "first"))); string(got) != "x" {
		t.Errorf("got %q", got)
	}
	l.stream(t, subject.Files(behalf.Development), func(c *jetstream.StreamConfig) { c.MaxMsgs = 2 })
	wantKind(t, f.PutFile(t.Context(), "third", nil, strings.NewReader("x")), fault.Exhausted)
}

func TestAFileEndsByItself(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	f := l.files(t)
	if err := f.PutFile(t.Context(), "one", nil, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	l.stream(t, subject.Files(behalf.Development), func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = 100*time.Millisecond, 100*time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, r, err := f.File(ctx, "one")
		if fault.Is(err, fault.NotFound) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
	}
}

// A file that is not what was stored must not be taken for it.
func TestADamagedFile(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	f, nc := l.files(t), l.connect(t)
	js := must[jetstream.JetStream](t)(jetstream.New(nc))
	objects := must[jetstream.ObjectStore](t)(js.ObjectStore(t.Context(), subject.Files(behalf.Development)))
	for _, name := range []string{"other", "short"} {
		if err := f.PutFile(t.Context(), name, nil, bytes.NewReader(make([]byte, 200<<10))); err != nil {
			t.Fatal(err)
		}
	}
	other := must[*jetstream.ObjectInfo](t)(objects.GetInfo(t.Context(), "other"))
	short := must[*jetstream.ObjectInfo](t)(objects.GetInfo(t.Context(), "short"))
	stream := l.stream(t, subject.Files(behalf.Development), asItIs)
	last := must[*jetstream.RawStreamMsg](t)(stream.GetLastMsgForSubject(t.Context(), subject.ObjectChunk(subject.Files(behalf.Development), other.NUID)))
	if err := stream.DeleteMsg(t.Context(), last.Sequence); err != nil {
		t.Fatal(err)
	}
	last.Data[0] = 1
	must[*jetstream.PubAck](t)(js.Publish(t.Context(), last.Subject, last.Data))
	got, err := io.ReadAll(mustOpen(t, f, "other"))
	if wantKind(t, err, fault.Internal); len(got) >= 200<<10 {
		t.Errorf("%d bytes of what is no file", len(got))
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(subject.ObjectChunk(subject.Files(behalf.Development), short.NUID)), jetstream.WithPurgeKeep(1)); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(mustOpen(t, f, "short"))
	wantKind(t, err, fault.NotFound)
}

func TestWithoutItsObjectStoreThereAreNoFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, err := store.NewFiles(t.Context(), l.connect(t), behalf.Production, store.Config{})
	if wantKind(t, err, fault.Unavailable); !strings.Contains(fault.Safe(err), "FILES_production is not there: behalf provision makes it") {
		t.Errorf("no word of what to do: %v", err)
	}
	f := must[*store.Files](t)(store.NewFiles(t.Context(), l.connect(t), behalf.Development, store.Config{ReadTimeout: 200 * time.Millisecond}))
	if err := f.PutFile(t.Context(), "one", nil, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	l.ns.Shutdown()
	_, _, err = f.File(t.Context(), "one")
	wantKind(t, err, fault.Unavailable)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := f.PutFile(ctx, "two", nil, strings.NewReader("x")); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
		t.Errorf("the error is %v", err)
	}
}

// What is parked ends by itself, after every history that can tell of it; what a dead letter needs is kept.
func TestWhatIsParkedEndsUnlessItIsKept(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.store(t, store.Config{})
	gone := must[behalf.ObjectRef](t)(s.PutUnshared(t.Context(), project, []byte("gone")))
	stays := must[behalf.ObjectRef](t)(s.PutUnshared(t.Context(), project, []byte("stays")))
	for range 2 {
		if err := s.KeepObject(t.Context(), stays); err != nil {
			t.Fatal(err)
		}
	}
	parked := l.stream(t, subject.Parked(behalf.Development), asItIs)
	if want := (bus.Layout{HistoryMaxAge: 90 * 24 * time.Hour}).HistoryMaxAge; parked.CachedInfo().Config.MaxAge <= want {
		t.Errorf("it is kept for %s", parked.CachedInfo().Config.MaxAge)
	}
	if err := parked.Purge(t.Context()); err != nil { // as time does
		t.Fatal(err)
	}
	later := l.store(t, store.Config{})
	_, err := later.Object(t.Context(), gone)
	wantKind(t, err, fault.NotFound)
	wantKind(t, later.KeepObject(t.Context(), gone), fault.NotFound)
	if got := must[[]byte](t)(later.Object(t.Context(), stays)); string(got) != "stays" {
		t.Errorf("got %q", got)
	}
	if err := later.DropObject(t.Context(), stays); err != nil {
		t.Fatal(err)
	}
	_, err = later.Object(t.Context(), stays)
	wantKind(t, err, fault.NotFound)
}
