package cli

import (
	"net"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/oauth"
)

// pages are those on which users connect accounts.
func (d *dev) pages() *connect.Server {
	cfg := connect.Config{URL: d.file.APIURL, Also: d.bases()}
	return pagesOf(cfg, d.roleDeps(), d.reach(), d.log)
}

func (d *dev) roleDeps() roleDeps {
	return roleDeps{all: d.all, credentials: d.secrets, apps: d.apps, reg: d.reg, shipped: d.shipped}
}

// bases are the addresses under which a browser of this machine finds dev.
func (d *dev) bases() []string {
	bases := basesOf("http", d.ln)
	if d.secure != nil {
		bases = append(bases, basesOf("https", d.secure)...)
	}
	return bases
}

func basesOf(scheme string, ln net.Listener) []string {
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return nil
	}
	return []string{scheme + "://" + ln.Addr().String(), scheme + "://localhost:" + port}
}

// practiceClient is our client at the practice app, as a vendor would have given it to us, and where it sends browsers back.
func (d *dev) practiceClient() (oauth.Registration, []string) {
	bases := d.bases()
	redirects := make([]string, len(bases))
	for i, base := range bases {
		redirects[i] = base + behalf.CallbackPath
	}
	return oauth.Registration{ID: "practice", Secret: auth.NewSecret()}, redirects
}
