package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
	"github.com/behalf-dev/behalf/pkg/bus/provision"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/deploy"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/practice"
	"github.com/behalf-dev/behalf/pkg/sandbox"
	"github.com/behalf-dev/behalf/pkg/web"
	"github.com/behalf-dev/behalf/worker"
)

// devFlags are those of `behalf dev`.
type devFlags struct {
	addr, metricsAddr, natsAddr, practiceAddr string
	dataDir, storage, appsDir, tlsAddr        string
	runsMaxMsgs, maxQueued                    int64
	slots                                     int
	syncAlways, allowLoopback                 bool
	appURLs                                   []string
	rates                                     rateFlags
}

func newDev(w world) *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use: "dev [DIR]", Short: "Run everything in one process, for development",
		Long: "Dev runs ingress, worker, API, NATS, a sealed credential store and the practice app in one process, and keeps its\n" +
			"data in BEHALF_DATA_DIR. It deploys the workflows of DIR into development, and again whenever a file changes;\n" +
			"without DIR those of this folder, or the examples when it has none.",
		Example: "  behalf dev\n  behalf dev ./workflows",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return over(serveDev(cmd.Context(), w, f, args)) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", w.env("BEHALF_ADDR", "127.0.0.1:8080"), "where workflows and the API answer")
	flags.StringVar(&f.metricsAddr, "metrics-addr", w.env("BEHALF_METRICS_ADDR", "127.0.0.1:9091"), "where /metrics answers")
	flags.StringVar(&f.natsAddr, "nats-addr", w.env("BEHALF_NATS_ADDR", "127.0.0.1:4222"), "where NATS listens, behind credentials; none for no port")
	flags.StringVar(&f.practiceAddr, "practice-addr", w.env("BEHALF_PRACTICE_ADDR", "127.0.0.1:8081"), "where the practice app answers")
	flags.StringVar(&f.tlsAddr, "tls-addr", w.env("BEHALF_TLS_ADDR", ""), "where all of it answers by https too, such as 127.0.0.1:8443, with an authority of its own: ca.pem in the data folder")
	flags.StringVar(&f.dataDir, "data-dir", w.env("BEHALF_DATA_DIR", defaultDataDir), "where everything is kept")
	flags.StringVar(&f.storage, "storage", w.env("BEHALF_STORAGE", ""), "disk that both environments reserve together, such as 8GiB; without it 4GiB at first, or less on a small disk")
	flags.Int64Var(&f.runsMaxMsgs, "runs-max-msgs", 100_000, "records of live runs that are kept")
	flags.Int64Var(&f.maxQueued, "max-queued", 10_000, maxQueuedHelp)
	flags.IntVar(&f.slots, "slots", 32, "runs executed at once in each environment")
	flags.BoolVar(&f.syncAlways, "sync-always", false, "flush every accepted event to disk before it counts")
	addApps(cmd, w, &f.appsDir)
	flags.StringArrayVar(&f.appURLs, "app-url", nil, "SLUG=URL sends an app's calls elsewhere, for practice and tests")
	flags.BoolVar(&f.allowLoopback, "allow-loopback", false, "let actions and other calls of ours reach servers of this machine, which they are refused otherwise")
	f.rates.add(flags, w)
	envFlag(cmd, w, "runs-max-msgs", "BEHALF_RUNS_MAX_MSGS")
	envFlag(cmd, w, "max-queued", "BEHALF_MAX_QUEUED")
	envFlag(cmd, w, "slots", "BEHALF_SLOTS")
	return cmd
}

func serveDev(ctx context.Context, w world, f devFlags, args []string) error {
	d, err := openDev(ctx, w, f)
	if err != nil {
		return err
	}
	defer d.close()
	return d.serve(ctx, args)
}

// dev is everything in one process.
type dev struct {
	world    world
	flags    devFlags
	log      zerolog.Logger
	reg      *prometheus.Registry
	server   *embedded.Server
	all      byEnvironment
	apps     app.Catalog
	secrets  credential.Store
	practice *practice.Practice
	shipped  map[behalf.AppSlug]oauth.Registration // the practice app's client
	storage  bus.Bytes                             // that was asked for each environment
	file     devFile
	ln, side net.Listener // of everything, and of the practice app
	secure   net.Listener // of everything by https; nil without
	tls      *tls.Config  // of secure
	lock     io.Closer    // of the data folder
}

// devAckWait is short, because nobody but this process holds an event of its own server: what it held when it was killed
// comes back that soon. A worker that is started against its port all the same must be told it by --ack-wait.
const devAckWait = 10 * time.Second

// openDev starts what everything else stands on. Errors: Invalid; Unavailable, for an address that is in use; Exhausted,
// where the disk is too small.
func openDev(ctx context.Context, w world, f devFlags) (d *dev, err error) {
	d = &dev{world: w, flags: f, log: w.logger(), reg: newRegistry()}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.storage, err = storageOf(f.storage, behalf.Environments()); err != nil {
		return d, err
	}
	if err := checkQueued(f.maxQueued); err != nil {
		return d, err
	}
	if err := f.rates.set(new(ingress.Config)); err != nil { // told before anything is made
		return d, err
	}
	if err := os.MkdirAll(f.dataDir, 0o700); err != nil {
		return d, fault.Newf(fault.Invalid, "cli.dev", "cannot make the data folder %s", f.dataDir).Because(err)
	}
	if d.lock, err = lockFolder(f.dataDir); err != nil {
		return d, err
	}
	if d.ln, err = listen(ctx, f.addr); err != nil {
		return d, err
	}
	if d.side, err = listen(ctx, f.practiceAddr); err != nil {
		return d, otherPort(err, "--practice-addr or BEHALF_PRACTICE_ADDR names another port")
	}
	if err := d.openTLS(ctx); err != nil {
		return d, err
	}
	if err := d.openNATS(ctx); err != nil {
		return d, err
	}
	sealed, err := openSealed(ctx, f.dataDir, d.all)
	if err != nil {
		return d, err
	}
	d.secrets = announced(sealed, d.all)
	if err := d.openApps(); err != nil {
		return d, err
	}
	return d, d.found(ctx)
}

// otherPort says how to get out of another's way.
func otherPort(err error, how string) error {
	if fault.Is(err, fault.Unavailable) {
		return hinted{err, "is another `behalf dev` running? " + how}
	}
	return err
}

// openNATS starts the embedded server and opens both environments.
func (d *dev) openNATS(ctx context.Context) (err error) {
	addr := d.flags.natsAddr
	if addr == "none" {
		addr = ""
	}
	d.server, err = embedded.Start(embedded.Config{
		Dir: filepath.Join(d.flags.dataDir, "nats"), Addr: addr, SyncAlways: d.flags.syncAlways,
	})
	if err != nil {
		return otherPort(err, "or a NATS server of your own? --nats-addr or BEHALF_NATS_ADDR names another port, or none")
	}
	d.all = make(byEnvironment)
	for _, env := range behalf.Environments() {
		if err := d.openEnvironment(ctx, env); err != nil {
			return err
		}
	}
	return nil
}

// openEnvironment provisions an environment and opens its parts.
func (d *dev) openEnvironment(ctx context.Context, env behalf.Environment) error {
	connect := bus.ConnConfig{InProcess: d.server, Creds: d.server.Creds(env), Name: "behalf dev " + string(env)}
	conn, err := bus.Connect(ctx, connect, d.log)
	if err != nil {
		return err
	}
	err = provision.Environment(ctx, conn, env, d.layout())
	conn.Close()
	if err != nil {
		return withRoomHint(err, fmt.Sprintf("this disk lets NATS reserve %s in all, three quarters of what was free: free some, or give less by --storage or BEHALF_STORAGE",
			bus.Bytes(d.server.MaxStorage())))
	}
	p, err := openParts(ctx, env, connect, bus.Config{Registerer: d.reg, AckWait: devAckWait}, d.log)
	if err != nil {
		return err
	}
	d.all[env] = p
	return nil
}

// layout lets both environments together reserve half of the disk that NATS may use, and no more than a laptop spares.
func (d *dev) layout() bus.Layout {
	quarter := bus.Bytes(d.server.MaxStorage() / 4)
	return bus.Layout{
		RunsMaxMsgs: d.flags.runsMaxMsgs, MaxQueued: d.flags.maxQueued, AckWait: devAckWait,
		Storage: d.storage, DefaultStorage: max(bus.MinStorage, min(bus.ModestStorage, quarter)),
	}
}

// openApps loads the catalogue, and gives the practice app its address.
func (d *dev) openApps() (err error) {
	if d.apps, err = loadApps(d.flags.appsDir); err != nil {
		return err
	}
	if d.apps, err = d.apps.WithURL("practice", "http://"+d.side.Addr().String()); err != nil {
		return err
	}
	if d.apps, err = elsewhere(d.apps, d.flags.appURLs); err != nil {
		return err
	}
	registration, redirects := d.practiceClient()
	d.shipped = map[behalf.AppSlug]oauth.Registration{"practice": registration}
	d.practice, err = practice.New(practice.Config{
		StatePath: filepath.Join(d.flags.dataDir, "practice.json"),
		ClientID:  registration.ID, ClientSecret: registration.Secret, RedirectURIs: redirects,
		// One that is pasted by hand has nothing to refresh it with, and a README must still work tomorrow.
		AccessLifetime: 365 * 24 * time.Hour,
	})
	return err
}

// found makes, at first start, a project and a client, and at every start writes dev.json.
func (d *dev) found(ctx context.Context) error {
	file, err := readDevFile(d.flags.dataDir)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	base := "http://" + d.ln.Addr().String()
	host, _, _ := net.SplitHostPort(d.ln.Addr().String())
	d.file = devFile{
		APIURL: base, IngressURL: base, WorkflowDomain: host, ClientID: file.ClientID, ClientSecret: file.ClientSecret,
		NATSURL: d.server.URL(), NATSCreds: make(map[behalf.Environment]string),
	}
	for _, env := range behalf.Environments() {
		path, err := filepath.Abs(d.server.CredsFile(env))
		if err != nil {
			return fault.Wrap(fault.Internal, "cli.dev", err)
		}
		d.file.NATSCreds[env] = path
	}
	if err := foundProject(ctx, d.all, d.layout(), &d.file); err != nil {
		return err
	}
	if d.file.ClientID == "" { // the file is gone, so is the secret: a new client takes its place
		if err := foundClient(ctx, d.all, &d.file); err != nil {
			return err
		}
	}
	return d.file.write(d.flags.dataDir)
}

func (d *dev) close() {
	if d.practice != nil {
		_ = d.practice.Close()
	}
	d.all.close()
	if d.server != nil {
		d.server.Close()
	}
	for _, ln := range []net.Listener{d.ln, d.side, d.secure} {
		if ln != nil {
			_ = ln.Close()
		}
	}
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

// serve runs every role until ctx ends: first the listener takes nothing more and callers get their answers, then the
// runs are settled, then what stands below stops.
func (d *dev) serve(ctx context.Context, args []string) error {
	below, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	if err := d.all.keep(ctx, below, group); err != nil {
		return err
	}
	signing, err := keepSigning(ctx, group, d.all, safe{Store: d.secrets}, d.log)
	if err != nil {
		return err
	}
	cached := d.all.remember(below, group, d.secrets)
	client := callsAt(d.ln.Addr(), d.reach())
	for _, p := range d.all {
		fresh := refreshing{d.secrets, cached, d.apps, d.shipped, client, d.reg, true}.of(p, d.log)
		group.Go(func() error { return fresh.Run(below) })
		p.fresh = fresh
	}
	pages := d.pages()
	defer pages.Wait()
	front, err := d.front(ctx, signing, pages)
	if err != nil {
		return err
	}
	pool := sandbox.New(ctx, sandbox.Config{Node: d.world.env("BEHALF_NODE", ""), Max: 2 * d.flags.slots, MaxPerKey: d.perKey()}, d.log)
	group.Go(func() error { return d.watchNATS(ctx) })
	group.Go(func() error { return pool.Run(below) })
	group.Go(func() error { return web.Serve(below, d.side, d.practice, web.ServerConfig{Log: d.log}) })
	group.Go(func() error { return metricsServer(below, d.flags.metricsAddr, d.reg, d.all.readiness(ctx), d.log) })

	var working errgroup.Group
	answered, over := context.WithCancel(context.WithoutCancel(ctx))
	defer over()
	runner, err := runnerOf(guests{pool: pool}, d.apps, client)
	if err != nil {
		return err
	}
	for env, p := range d.all {
		worker, source := workerOf(worker.Config{Slots: d.flags.slots, Registerer: d.reg}, p, stepAuth{p.fresh, d.apps}, stepVariables{env, cached}, runner, d.log)
		group.Go(func() error { return p.follow(ctx, source, d.log) })
		working.Go(func() error { return worker.Run(answered) })
	}
	group.Go(func() error {
		defer stop()
		return working.Wait()
	})
	group.Go(func() error {
		defer over()
		return d.answer(ctx, front)
	})
	group.Go(func() error { return d.greet(ctx, args) })
	return group.Wait()
}

// watchNATS ends dev where nothing can be accepted, nor finished, until it is started again.
func (d *dev) watchNATS(ctx context.Context) error {
	if err := d.server.Watch(ctx); err != nil {
		return hinted{err, "free some disk and start again: what was accepted is kept"}
	}
	return nil
}

// drainGrace is longer than the longest that a caller waits for a result.
const drainGrace = 40 * time.Second

// perKey is how many guests one workflow may have: enough for both cores, few enough for a laptop's memory.
func (d *dev) perKey() int { return min(d.flags.slots, 4) }

// answer serves everything by http, and by https where dev was told to, until ctx ends and every caller has an answer.
func (d *dev) answer(ctx context.Context, front http.Handler) error {
	both, ctx := errgroup.WithContext(ctx)
	cfg := web.ServerConfig{Log: d.log, Grace: drainGrace, Linger: 200 * time.Millisecond}
	both.Go(func() error { return web.Serve(ctx, d.ln, front, cfg) })
	if d.secure != nil {
		secure := cfg
		secure.TLS = d.tls
		both.Go(func() error { return web.Serve(ctx, d.secure, front, secure) })
	}
	return both.Wait()
}

// front puts the ingress and the API behind one address. Both drain when ctx ends.
func (d *dev) front(ctx context.Context, signing *signing, pages *connect.Server) (http.Handler, error) {
	cfg := ingress.Config{
		WorkflowDomain: d.file.WorkflowDomain, APIURL: d.file.APIURL, URL: d.file.IngressURL, DefaultEnvironment: behalf.Development,
	}
	if err := d.flags.rates.set(&cfg); err != nil {
		return nil, err
	}
	in := ingressOf(cfg, d.all, d.reg, d.log)
	deps := d.roleDeps()
	deps.signer, deps.ready, deps.pages = signing, both(d.all.ready, signing.ready), pages
	rest, err := apiOf(d.apiConfig(), deps, d.log)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, in.Drain)
	context.AfterFunc(ctx, rest.Drain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case in.Serves(r), r.URL.Path == "/healthz", r.URL.Path == "/readyz":
			in.ServeHTTP(w, r)
		case r.URL.Path == "/practice":
			d.practice.Page().ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	}), nil
}

func (d *dev) apiConfig() api.Config {
	return api.Config{DefaultEnvironment: behalf.Development, Links: d.links(), URL: d.file.APIURL}
}

func (d *dev) links() api.Links {
	return api.Links{IngressURL: d.file.IngressURL, WorkflowDomain: d.file.WorkflowDomain}
}

// workflows are those that dev serves: of the named folder, of this one, or the examples.
func (d *dev) workflows(args []string) (fs.FS, string, error) {
	if len(args) > 0 {
		absolute, err := filepath.Abs(args[0])
		if err == nil {
			_, err = os.Stat(absolute)
		}
		if err != nil {
			return nil, "", fault.Newf(fault.Invalid, "cli.dev", "there is no folder %s", args[0])
		}
		return os.DirFS(absolute), filepath.Base(absolute), nil
	}
	here := os.DirFS(".")
	if folders, err := deploy.Folders(here); err == nil && len(folders) > 0 {
		absolute, err := filepath.Abs(".")
		return here, filepath.Base(absolute), fault.Wrap(fault.Internal, "cli.dev", err)
	}
	return configs.Examples(), "examples", nil
}
