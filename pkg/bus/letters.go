package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Letter is a dead letter where it lies.
type Letter struct {
	ID       behalf.LetterID
	Project  behalf.ProjectID
	Workflow behalf.WorkflowID
	KeptAt   time.Time
	DeadLetter
}

// LetterQuery says which letters of a project to list. A zero field asks for nothing.
type LetterQuery struct {
	Project  behalf.ProjectID
	Workflow behalf.WorkflowID
	Reason   Reason
	// Limit is the most that a page has. It must be set.
	Limit int
	// Before is the last letter of the page before.
	Before behalf.LetterID
}

// Letters lists the newest letters of a project. More says that there are older ones. Errors: Invalid, for a cursor that
// is none; Unavailable.
func (b *Bus) Letters(ctx context.Context, q LetterQuery) (letters []Letter, more bool, err error) {
	all, err := b.indexLetters(ctx, q.Project, q.Workflow)
	if err != nil {
		return nil, false, err
	}
	before := uint64(0)
	if q.Before != "" {
		if before, err = q.Before.Place(); err != nil {
			return nil, false, err
		}
	}
	for _, at := range slices.Backward(all) {
		if before != 0 && at.seq >= before || q.Reason != "" && reasonOf(at) != q.Reason {
			continue
		}
		if len(letters) == q.Limit {
			return letters, true, nil
		}
		letter, err := b.letter(ctx, at.seq)
		if fault.Is(err, fault.NotFound) { // discarded meanwhile
			continue
		}
		if err != nil {
			return nil, false, err
		}
		letters = append(letters, letter)
	}
	return letters, false, nil
}

func (b *Bus) indexLetters(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID) ([]indexed, error) {
	filter, err := subject.OwnedBy("dead", b.env, project, workflow)
	if err != nil {
		return nil, err
	}
	return b.index(ctx, subject.DeadLetters(b.env), filter)
}

// reasonOf reads the reason of a letter from its id. One without an id, which no delivery of a stream has, has none.
func reasonOf(at indexed) Reason {
	return Reason(at.id[strings.LastIndexByte(at.id, '.')+1:])
}

// LetterCount is how many letters of a workflow have one reason.
type LetterCount struct {
	Workflow behalf.WorkflowID `json:"workflow"`
	Reason   Reason            `json:"reason"`
	Count    int               `json:"count"`
}

// CountLetters counts the letters of a project, by workflow and reason. Errors: Unavailable.
func (b *Bus) CountLetters(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID) ([]LetterCount, error) {
	all, err := b.indexLetters(ctx, project, workflow)
	if err != nil {
		return nil, err
	}
	counts := map[LetterCount]int{}
	for _, at := range all {
		if _, of, err := subject.ParseDead(at.subject); err == nil {
			counts[LetterCount{Workflow: of, Reason: reasonOf(at)}]++
		}
	}
	list := make([]LetterCount, 0, len(counts))
	for c, n := range counts {
		c.Count = n
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b LetterCount) int {
		return cmp.Or(cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.Reason, b.Reason))
	})
	return list, nil
}

// Letter reads one letter of a project. Errors: NotFound, also for another project's; Unavailable.
func (b *Bus) Letter(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (Letter, error) {
	seq, err := id.Place()
	if err != nil {
		return Letter{}, fault.New(fault.NotFound, "bus.Letter", "no such dead letter")
	}
	letter, err := b.letter(ctx, seq)
	if err == nil && (letter.Project != project || letter.ID != id) {
		return Letter{}, fault.New(fault.NotFound, "bus.Letter", "no such dead letter")
	}
	return letter, err
}

func (b *Bus) letter(ctx context.Context, seq uint64) (Letter, error) {
	m, err := b.ask(ctx, subject.DeadLetters(b.env), question{Seq: seq})
	if err != nil {
		return Letter{}, err
	}
	letter := Letter{ID: behalf.NewLetterID(m.seq, m.at), KeptAt: m.at}
	if letter.Project, letter.Workflow, err = subject.ParseDead(m.subject); err != nil {
		return Letter{}, fault.New(fault.NotFound, "bus.letter", "no such dead letter") // of no project: nobody's
	}
	return letter, fault.Wrap(fault.Internal, "bus.letter", json.Unmarshal(m.data, &letter.DeadLetter))
}

// Discard takes a letter away. False says that it was gone already. Errors: Unavailable.
func (b *Bus) Discard(ctx context.Context, letter Letter) (bool, error) {
	seq, err := letter.ID.Place()
	if err != nil {
		return false, err
	}
	return b.drop(ctx, subject.DeadLetters(b.env), seq)
}

// OfTimer says that the letter's original is a run that came back from a wait, and not a fresh event.
func (l DeadLetter) OfTimer() bool {
	_, err := subject.ParseFired(l.Subject)
	return err == nil
}
