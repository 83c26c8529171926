package practice

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTheStateFileIsWrittenAnewBeforeItGrowsTooLong(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "practice.jsonl")
	p, err := New(Config{StatePath: path})
	if err != nil {
		t.Fatal(err)
	}
	send := func(text, key string) {
		t.Helper()
		done := p.inbox.post("u", key, text, p.cfg.Now())
		if err := p.file.append(entry{Message: &done.message, Counts: &done.total}); err != nil {
			t.Fatal(err)
		}
	}
	for range 300 {
		send("before", "")
	}
	send("keyed", "k")
	p.file.lines = compactAfter
	send("at the border", "")
	lines, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(lines, []byte("\n")); got != maxMessages+1 {
		t.Errorf("the file has %d lines, want %d messages and the counts", got, maxMessages)
	}
	send("after", "")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}

	again, err := New(Config{StatePath: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	messages, total := again.inbox.recent()
	if len(messages) != maxMessages || messages[0].Text != "after" || messages[1].Text != "at the border" || total.Effects != 303 || total.Calls != 303 {
		t.Errorf("%d messages, the newest %q, %+v", len(messages), messages[0].Text, total)
	}
	if done := again.inbox.post("u", "k", "keyed", again.cfg.Now()); !done.replayed {
		t.Error("the key is forgotten")
	}
	leftovers, err := filepath.Glob(path + ".*")
	if err != nil || len(leftovers) != 0 {
		t.Errorf("left behind: %v, %v", leftovers, err)
	}
}
