package cli

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// What JSON cannot carry is refused here: the API would get other code than the author wrote.
func TestABundleIsTextAsItWasWritten(t *testing.T) {
	t.Parallel()
	root := fstest.MapFS{"flow/workflow.yaml": {Data: []byte("name: x")}, "flow/a.mjs": {Data: []byte("export default \"caf\xe9\"")}}
	if _, err := bundlesIn(root, "here"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "flow/a.mjs is not UTF-8") {
		t.Errorf("Latin-1: %v", err)
	}
	root["flow/a.mjs"].Data = []byte("export default \"café\"")
	bundles, err := bundlesIn(root, "here")
	if err != nil || len(bundles) != 1 || bundles[0].Files["a.mjs"] != string(root["flow/a.mjs"].Data) {
		t.Errorf("UTF-8: %v, %v", bundles, err)
	}
}
