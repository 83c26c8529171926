package bustest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Objects is an object store in memory.
type Objects struct {
	mu   sync.Mutex
	kept map[behalf.ObjectID][]byte
}

// PutObject keeps content. Errors: none.
func (o *Objects) PutObject(_ context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	return o.keep(project, content, content, false), nil
}

// PutUnshared keeps content under a name of its own. Errors: none.
func (o *Objects) PutUnshared(_ context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	return o.keep(project, []byte(rand.Text()), content, true), nil
}

func (o *Objects) keep(project behalf.ProjectID, name, content []byte, parked bool) behalf.ObjectRef {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept == nil {
		o.kept = map[behalf.ObjectID][]byte{}
	}
	id, sum := behalf.NewObjectID(project, name), sha256.Sum256(content)
	o.kept[id] = append([]byte(nil), content...)
	return behalf.ObjectRef{Object: id, SHA256: hex.EncodeToString(sum[:]), Size: len(content), Parked: parked}
}

// DropObject forgets what PutUnshared kept. Errors: none.
func (o *Objects) DropObject(_ context.Context, ref behalf.ObjectRef) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ref.Parked {
		delete(o.kept, ref.Object)
	}
	return nil
}

// Len is how many are kept.
func (o *Objects) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.kept)
}

// Object reads what was kept. Errors: NotFound.
func (o *Objects) Object(_ context.Context, ref behalf.ObjectRef) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	content, ok := o.kept[ref.Object]
	if !ok {
		return nil, fault.New(fault.NotFound, "bustest.Object", "no such object")
	}
	return append([]byte(nil), content...), nil
}
