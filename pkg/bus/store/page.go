package store

import (
	"context"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// maxScanned bounds what one page reads, one leader read an entry: what is searched for may be rare among many.
const maxScanned = 2_000

// span is what a page may read: the entries of a pattern, behind one revision.
type span struct {
	pattern string
	after   uint64
	// few says that the pattern names its owner. What it matches is found by name then, and the server need not look for an
	// end that is known.
	few   bool
	limit int
}

// pageOf lists at most limit values that are wanted, upwards by revision. Next is 0 where no more can follow.
func pageOf[T any](ctx context.Context, b *bucket, s span, wanted func(T) bool) (found []T, next uint64, err error) {
	var failure error
	seen, scanned, more := s.after, 0, false
	err = b.stroll(ctx, s, func(e entry) bool {
		if more = len(found) == s.limit && !e.deleted || scanned == maxScanned; more {
			return false
		}
		scanned, seen = scanned+1, e.revision
		if e.deleted {
			return true
		}
		var value T
		if value, failure = decode[T](e.value); failure != nil {
			return false
		}
		if wanted(value) {
			found = append(found, value)
		}
		return true
	})
	switch {
	case err != nil:
		return nil, 0, err
	case failure != nil:
		return nil, 0, failure
	case !more:
		seen = 0
	}
	return found, seen, nil
}

// stroll is walk among many keys. Before the server gives the first message of a stream it counts all that a pattern matches,
// and it looks through a whole block for what does not follow: neither is asked of it.
func (b *bucket) stroll(ctx context.Context, s span, each func(entry) (more bool)) error {
	from := s.after + 1
	if s.few {
		last, err := b.lastOrMarker(ctx, s.pattern)
		if fault.Is(err, fault.NotFound) || err == nil && from > last.revision {
			return nil
		}
		if err != nil {
			return err
		}
		return b.walk(ctx, s.pattern, from, func(e entry) bool { return each(e) && e.revision < last.revision })
	}
	if s.after == 0 {
		first, err := b.first(ctx)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil || matches(s.pattern, first.key) && !each(first) {
			return err
		}
		from = first.revision + 1
	}
	return b.walk(ctx, s.pattern, from, each)
}

// first is the oldest entry of any key. It asks for any subject at all, which costs no counting.
func (b *bucket) first(ctx context.Context) (entry, error) {
	m, err := b.leader.read(ctx, b.stream(), question{Seq: 1, Next: ">"})
	if err != nil {
		return entry{}, err
	}
	return b.entry(m)
}

// matches says whether a key is one of a pattern, in which * stands for one token.
func matches(pattern, key string) bool {
	want, have := strings.Split(pattern, "."), strings.Split(key, ".")
	for i, token := range want {
		if i >= len(have) || token != "*" && token != have[i] {
			return false
		}
	}
	return len(want) == len(have)
}
