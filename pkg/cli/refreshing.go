package cli

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/worker"
)

// refreshing is what credentials are refreshed with.
type refreshing struct {
	credentials credential.Store
	cached      *credential.Cached
	apps        app.Catalog
	shipped     map[behalf.AppSlug]oauth.Registration
	client      *http.Client
	reg         prometheus.Registerer
	// keeps has it refresh accounts too that nobody uses.
	keeps bool
}

// of puts the source of an environment's credentials together.
func (r refreshing) of(p *parts, log zerolog.Logger) *refresh.Source {
	own := make(byEnvironment, 1)
	own[p.env] = p
	deps := refresh.Deps{
		Store: r.credentials, Cached: r.cached, Leases: p.store.Leases(), Accounts: accountRecords{p.store}, Apps: r.apps,
		Clients: oauthClients{own, r.credentials, r.shipped}, HTTP: r.client,
	}
	if r.keeps {
		deps.Changes = p.store
	}
	return refresh.New(refresh.Config{Environment: p.env, Points: refreshPoints(), Registerer: r.reg}, deps, log)
}

// refreshPoints are the failpoints of a refresh.
func refreshPoints() func(context.Context, refresh.Point) {
	points := failpoints()
	if points == nil {
		return nil
	}
	return func(ctx context.Context, at refresh.Point) { points(ctx, worker.Point(at)) }
}

// accountRecords is the store as a refresh asks for it.
type accountRecords struct{ *store.Store }

func (r accountRecords) Account(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.Account, uint64, error) {
	found, err := r.FindAccount(ctx, project, id)
	return found.Value, found.Revision, err
}

func (r accountRecords) SetAccount(ctx context.Context, account behalf.Account, revision uint64) error {
	_, err := r.PutAccount(ctx, account, revision)
	return err
}

// refresh has the API hand out credentials that still work, until ctx ends.
func (b byEnvironment) refresh(ctx context.Context, group *errgroup.Group, r refreshing, log zerolog.Logger) (err error) {
	if r.apps, err = elsewhere(r.apps, practiceURLs()); err != nil {
		return err
	}
	for _, p := range b {
		fresh := r.of(p, log)
		group.Go(func() error { return fresh.Run(ctx) })
		p.fresh = fresh
	}
	return nil
}
