package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// script runs a copy of numbers through what a watch and the leader tell, in any order that they can have.
type script struct {
	*testing.T
	copy *copied[int]
}

func newScript(t *testing.T) *script {
	t.Helper()
	decode := func(data []byte) (int, error) {
		var n int
		_, err := fmt.Sscan(string(data), &n)
		return n, err
	}
	return &script{t, newCopied("number", nil, Config{}.withDefaults(), zerolog.Nop(), decode)}
}

func (s *script) watch(fill uint64, key string, value int, revision uint64) {
	s.copy.apply(fill, entry{key: key, value: fmt.Append(nil, value), revision: revision, deleted: value == 0})
}

func (s *script) leader(key string, value int, revision uint64) {
	s.copy.learn(key, Versioned[int]{value, revision})
}

func (s *script) want(key string, value int) {
	s.Helper()
	if got, _ := s.copy.recall(key); got != value {
		s.Errorf("%s is %d, want %d", key, got, value)
	}
}

func TestALateReadDoesNotBringBackWhatWasDeleted(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	fill := s.copy.begin()
	s.watch(fill, "a", 1, 5)
	s.watch(fill, "a", 0, 6)
	s.leader("a", 1, 5) // read before the deletion, told after it
	s.want("a", 0)
	s.leader("a", 2, 7) // later than the watch is
	s.want("a", 2)
	s.watch(fill, "b", 1, 6) // the watch catches up
	s.watch(fill, "a", 0, 6)
	s.want("a", 2)
	s.watch(fill, "a", 0, 8)
	s.want("a", 0)
}

func TestALaggingWatchDoesNotUndoALaterValue(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	fill := s.copy.begin()
	s.leader("a", 2, 7)
	s.watch(fill, "a", 1, 5)
	s.want("a", 2)
	s.leader("a", 1, 5)
	s.want("a", 2)
}

func TestAnOldWatchIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	old := s.copy.begin()
	s.watch(old, "a", 1, 5)
	s.copy.filled(old)
	fresh := s.copy.begin()
	s.want("a", 1) // old entries answer meanwhile
	s.watch(old, "b", 1, 6)
	s.copy.filled(old)
	s.want("b", 0)
	s.want("a", 1)
	s.copy.filled(fresh)
	s.want("a", 0)
}

func TestABucketThatWasMadeAnewIsBelieved(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	old := s.copy.begin()
	s.watch(old, "a", 1, 500)
	s.copy.filled(old)
	fresh := s.copy.begin()
	s.watch(fresh, "a", 2, 3) // its revisions begin again
	s.copy.filled(fresh)
	s.want("a", 2)
}

func TestWithoutAWatchNothingIsKept(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.leader("b", 1, 5)
	s.want("b", 0)
	s.watch(s.copy.begin(), "a", 1, 5)
	s.copy.end()
	s.want("a", 0)
}

func TestMissesAreBounded(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.copy.missFor = time.Hour
	for i := range maxMissed + 100 {
		s.copy.miss(fmt.Sprint(i))
	}
	if n := len(s.copy.missed); n != maxMissed {
		t.Errorf("%d misses are kept", n)
	}
}

func TestLRUKeepsWhatWasUsedLast(t *testing.T) {
	t.Parallel()
	l := newLRU[string](10)
	for _, key := range []string{"a", "b", "c"} {
		l.add(key, key, 3)
	}
	l.find("a")
	l.add("d", "d", 3)
	l.add("e", "e", 11) // heavier than all
	l.add("d", "D", 4)
	for key, want := range map[string]string{"a": "a", "b": "", "c": "c", "d": "D", "e": ""} {
		if got, _ := l.find(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if l.weight != 10 {
		t.Errorf("weighs %d", l.weight)
	}
	l.empty()
	if _, ok := l.find("a"); ok || l.weight != 0 {
		t.Error("not empty")
	}
}
