package cli

import (
	"math"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// rateFlags bound what an ingress takes.
type rateFlags struct{ rate, publicRate, burst string }

func (f *rateFlags) add(flags *pflag.FlagSet, w world) {
	flags.StringVar(&f.rate, "rate", w.env("BEHALF_RATE", "0"), "requests a second of one project in one environment; above it they are told 429; 0 for no limit")
	flags.StringVar(&f.publicRate, "public-rate", w.env("BEHALF_PUBLIC_RATE", "0"), "requests a second of one endpoint with auth: none; 0 for no limit but --rate")
	flags.StringVar(&f.burst, "burst", w.env("BEHALF_BURST", "0"), "requests at once that either lets through; 0 for those of two seconds")
}

// set reads them into the configuration of an ingress. Errors: Invalid.
func (f *rateFlags) set(cfg *ingress.Config) error {
	burst, err := strconv.ParseUint(f.burst, 10, 31)
	if err != nil {
		return fault.Newf(fault.Invalid, "cli.rate", "--burst must be a whole number, not %q", f.burst)
	}
	if cfg.Rate, err = rateOf("--rate", f.rate, int(burst)); err != nil {
		return err
	}
	cfg.PublicRate, err = rateOf("--public-rate", f.publicRate, int(burst))
	return err
}

func rateOf(flag, text string, burst int) (web.Rate, error) {
	perSecond, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(perSecond) || perSecond < 0 || perSecond > 1e6 {
		return web.Rate{}, fault.Newf(fault.Invalid, "cli.rate", "%s must be requests a second, such as 50 or 0.5, at most 1000000; not %q", flag, text)
	}
	switch {
	case perSecond == 0:
		return web.Rate{}, nil
	case burst == 0:
		burst = int(math.Ceil(2 * perSecond))
	}
	return web.Rate{PerSecond: perSecond, Burst: burst}, nil
}
