package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// names are the ids of the users of projects that were searched, so that to find a part of an id among many costs no read
// of all. Each search first reads what has changed since the one before.
type names struct {
	bucket *bucket
	most   int

	mu   sync.Mutex
	all  map[behalf.ProjectID]*index
	size map[behalf.ProjectID]int
}

func newNames(b *bucket, cfg Config) *names {
	return &names{bucket: b, most: cfg.RememberNames, all: map[behalf.ProjectID]*index{}, size: map[behalf.ProjectID]int{}}
}

// index is the ids of one project. Whoever has its turn reads and writes it.
type index struct {
	turn chan struct{}
	// read is the revision up to which changes of any key are known.
	read  uint64
	order []named           // by revision; one that has changed since is stale
	at    map[string]uint64 // the revision of each
	// many says that there are too many to hold.
	many bool
}

type named struct {
	revision    uint64
	user, lower string
}

func (n *names) of(project behalf.ProjectID) *index {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, ok := n.all[project]
	if !ok {
		i = &index{turn: make(chan struct{}, 1), at: map[string]uint64{}}
		n.all[project] = i
	}
	return i
}

// empty has all read anew: the bucket may be another one.
func (n *names) empty() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.all)
	clear(n.size)
}

// makeRoom has the indexes of the other projects go, where all together are too many. They can be read again.
func (n *names) makeRoom(project behalf.ProjectID, size int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.size[project] = size
	sum := 0
	for _, each := range n.size {
		sum += each
	}
	for p := range n.size {
		if sum > n.most && p != project {
			delete(n.all, p)
			delete(n.size, p)
		}
	}
}

// find lists at most so many users whose id holds a text of lower case, behind a revision, and behind which one to go on, 0
// for the end. It is false for ok where there are too many users to hold. Errors: Unavailable.
func (n *names) find(ctx context.Context, project behalf.ProjectID, text string, after uint64, limit int) (page UserPage, ok bool, err error) {
	i := n.of(project)
	select {
	case i.turn <- struct{}{}:
	case <-ctx.Done():
		return UserPage{}, false, fault.Wrap(fault.KindOf(ctx.Err()), "store.names", ctx.Err())
	}
	found, more, err := n.search(ctx, i, project, text, after, limit)
	many := i.many
	<-i.turn
	if err != nil || many {
		return UserPage{}, !many, err
	}
	for _, each := range found {
		e, err := n.bucket.last(ctx, subject.UserKey(project, behalf.ExternalUserID(each.user)))
		if fault.Is(err, fault.NotFound) || err == nil && e.revision != each.revision { // it comes with its later state
			continue
		}
		if err != nil {
			return UserPage{}, false, err
		}
		user, err := decode[behalf.ExternalUser](e.value)
		if err != nil {
			return UserPage{}, false, err
		}
		page.Users = append(page.Users, user)
	}
	if more {
		page.Next = found[len(found)-1].revision
	}
	return page, true, nil
}

func (n *names) search(ctx context.Context, i *index, project behalf.ProjectID, text string, after uint64, limit int) (found []named, more bool, err error) {
	if i.many {
		return nil, false, nil
	}
	if err := n.catchUp(ctx, i, "user."+string(project)+".*"); err != nil {
		return nil, false, err
	}
	if i.many = len(i.at) > n.most; i.many {
		i.order, i.at = nil, nil
	}
	n.makeRoom(project, len(i.at))
	found, more = i.find(text, after, limit)
	return found, more, nil
}

// find also says whether there are more than so many.
func (i *index) find(text string, after uint64, limit int) (found []named, more bool) {
	from, _ := slices.BinarySearchFunc(i.order, after+1, func(n named, revision uint64) int { return cmp.Compare(n.revision, revision) })
	for _, n := range i.order[from:] {
		switch {
		case !strings.Contains(n.lower, text) || i.at[n.user] != n.revision:
		case len(found) == limit:
			return found, true
		default:
			found = append(found, n)
		}
	}
	return found, false
}

// catchUp reads what has changed: in bulk, and what the replica that told it did not have yet from the leader. Where nothing
// changed in the whole bucket, that is one cheap question.
func (n *names) catchUp(ctx context.Context, i *index, pattern string) error {
	last, err := n.bucket.lastSequence(ctx)
	if err != nil || last <= i.read {
		return err
	}
	if err := n.bucket.bulk(ctx, pattern, i.read+1, true, i.apply); err != nil {
		return err
	}
	err = n.bucket.walk(ctx, pattern, i.read+1, func(e entry) bool {
		i.apply(e)
		return true
	})
	i.read = max(i.read, last)
	return err
}

func (i *index) apply(e entry) {
	if e.revision <= i.read {
		return
	}
	i.read = e.revision
	user, ok := subject.Decode(e.key[strings.LastIndexByte(e.key, '.')+1:])
	switch {
	case !ok:
	case e.deleted:
		delete(i.at, user)
	default:
		lower := strings.ToLower(user)
		if lower == user {
			lower = user // one text in memory
		}
		i.at[user] = e.revision
		i.order = append(i.order, named{e.revision, user, lower})
	}
	if len(i.order) > 32+2*len(i.at) {
		i.order = slices.DeleteFunc(i.order, func(n named) bool { return i.at[n.user] != n.revision })
	}
}
