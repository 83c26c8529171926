// Package credentialtest has the one suite that every credential store passes, and a store in memory for tests.
//
// It is never part of the shipped binary.
package credentialtest

import (
	"context"
	"errors"
	"sync"

	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Memory is a store of both environments in memory.
type Memory struct {
	mu     sync.Mutex
	stored map[credential.Path]stored
	last   credential.Revision
	failed error
	reads  int
}

type stored struct {
	credential credential.Credential
	revision   credential.Revision
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{stored: map[credential.Path]stored{}} }

// Fail has every call fail with this error, until told nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
}

// Reads counts the calls of Get.
func (m *Memory) Reads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

// Get implements credential.Store.
func (m *Memory) Get(ctx context.Context, p credential.Path) (credential.Credential, credential.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if err := m.check(ctx, p); err != nil {
		return credential.Credential{}, 0, err
	}
	s, ok := m.stored[p]
	if !ok {
		return credential.Credential{}, 0, fault.New(fault.NotFound, "credentialtest.Get", "no such credential")
	}
	return s.credential.Clone(), s.revision, nil
}

// Put implements credential.Store.
func (m *Memory) Put(ctx context.Context, p credential.Path, c credential.Credential, r credential.Revision) (credential.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(ctx, p); err != nil {
		return 0, err
	}
	if size(c) > credential.MaxSize {
		return 0, fault.New(fault.Invalid, "credentialtest.Put", "the credential may have at most 64 KiB")
	}
	if m.stored[p].revision != r {
		return 0, fault.New(fault.Conflict, "credentialtest.Put", "the credential has another revision")
	}
	m.last++
	m.stored[p] = stored{c.Clone(), m.last}
	return m.last, nil
}

// Delete implements credential.Store.
func (m *Memory) Delete(ctx context.Context, p credential.Path) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(ctx, p); err != nil {
		return err
	}
	delete(m.stored, p)
	return nil
}

func (m *Memory) check(ctx context.Context, p credential.Path) error {
	if _, err := p.Key(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.KindOf(err), "credentialtest", errors.New("the caller left"))
	}
	return m.failed
}

func size(c credential.Credential) int {
	n := 0
	for _, value := range c.Secrets() {
		n += len(value.Reveal())
	}
	return n
}
