package store

import "context"

// maxScanned bounds what one page reads, one leader read an entry: what is searched for may be rare among many.
const maxScanned = 2_000

// pageOf lists at most limit values that a pattern matches and that are wanted, upwards by revision from behind one. Next
// is 0 where no more can follow.
func pageOf[T any](ctx context.Context, b *bucket, pattern string, after uint64, limit int, wanted func(T) bool) (found []T, next uint64, err error) {
	var failure error
	seen, scanned, more := after, 0, false
	err = b.walk(ctx, pattern, after+1, func(e entry) bool {
		if more = len(found) == limit && !e.deleted || scanned == maxScanned; more {
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
