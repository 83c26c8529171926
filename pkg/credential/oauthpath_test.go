package credential_test

import (
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestTheSecretOfAnOAuthAppLiesInItsProject(t *testing.T) {
	t.Parallel()
	p := credential.OAuthAppPath(behalf.Production, "proj_a", "oa_1")
	if key, err := p.Key(); err != nil || key != "proj_a/_oauth/oa_1" {
		t.Errorf("%s, %v", key, err)
	}
	for _, bad := range []credential.Path{
		credential.OAuthAppPath(behalf.Production, "proj_a/b", "oa_1"), credential.OAuthAppPath(behalf.Production, "", "oa_1"),
		credential.OAuthAppPath(behalf.Production, "proj_a", "../oa_1"), credential.OAuthAppPath(behalf.Production, "proj_a", ""),
		credential.OAuthAppPath("staging", "proj_a", "oa_1"), credential.OAuthAppPath(behalf.Production, "proj_a/_oauth/oa_2", "oa_1"),
	} {
		if key, err := bad.Key(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s, %v", key, err)
		}
	}
}
