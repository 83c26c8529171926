package cli

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// followEvery is how often a worker looks for new projects: they are rare, and one that is new has time.
const followEvery = time.Second

// follow adds the consumers of every project to a worker's source, as projects come.
func (p *parts) follow(ctx context.Context, source *bus.Source, log zerolog.Logger) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		projects, err := p.store.Projects(ctx)
		if err != nil && !fault.Is(err, fault.Canceled) {
			log.Warn().Err(err).Msg("projects not read; trying again")
		}
		for _, project := range projects {
			if err := source.Add(ctx, project.ID); err != nil && ctx.Err() == nil {
				log.Warn().Err(err).Str("project", string(project.ID)).Msg("project not taken from; trying again")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
