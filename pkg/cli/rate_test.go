package cli

import (
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/web"
)

func TestRateFlags(t *testing.T) {
	t.Parallel()
	none := web.Rate{}
	for _, c := range []struct {
		flags           rateFlags
		project, public web.Rate
	}{
		{rateFlags{"0", "0", "0"}, none, none},
		{rateFlags{"50", "0", "0"}, web.Rate{PerSecond: 50, Burst: 100}, none},
		{rateFlags{"50", "0.1", "0"}, web.Rate{PerSecond: 50, Burst: 100}, web.Rate{PerSecond: 0.1, Burst: 1}},
		{rateFlags{"50", "10", "7"}, web.Rate{PerSecond: 50, Burst: 7}, web.Rate{PerSecond: 10, Burst: 7}},
	} {
		var cfg ingress.Config
		if err := c.flags.set(&cfg); err != nil || cfg.Rate != c.project || cfg.PublicRate != c.public {
			t.Errorf("%v: %v and %v, %v", c.flags, cfg.Rate, cfg.PublicRate, err)
		}
	}
}

// TestDevThrottles calls more often than --rate lets it: the second call is told so, and no run begins.
func TestDevThrottles(t *testing.T) {
	dir := t.TempDir()
	started(t, devCommand(t, dir, "--rate", "0.001", "--burst", "1"))
	s := terminal{t, dir}
	s.must("invoke", "notify", "--user", "abc-123", "-d", `{"text":"once"}`)
	stdout, stderr, code := s.run("", "invoke", "notify", "--user", "abc-123", "-d", `{"text":"twice"}`, "--json")
	if code != 1 || !strings.Contains(stdout, `"status":429`) || !strings.Contains(stdout, `"error":"throttled"`) ||
		stderr != "behalf: Too many requests; nothing was accepted, send it again later\n" {
		t.Errorf("the second call: %d\n%s%s", code, stdout, stderr)
	}
	if runs := strings.Count(s.must("runs", "list", "--env", "development", "--json"), "\n"); runs != 1 {
		t.Errorf("%d runs, want 1", runs)
	}
}
