package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// devFile is what a backend needs to use this Behalf: `dev` writes it beside its data, `provision` prints it.
type devFile struct {
	APIURL         string                        `json:"api_url"`
	IngressURL     string                        `json:"ingress_url"`
	WorkflowDomain string                        `json:"workflow_domain"`
	ProjectID      behalf.ProjectID              `json:"project_id"`
	ClientID       behalf.ClientID               `json:"client_id"`
	ClientSecret   string                        `json:"client_secret,omitempty"` // in the clear: it is this file's purpose
	NATSURL        string                        `json:"nats_url,omitempty"`
	NATSCreds      map[behalf.Environment]string `json:"nats_creds,omitempty"` // paths
}

func devFilePath(dataDir string) string { return filepath.Join(dataDir, "dev.json") }

// readDevFile reads the file of a data folder. Errors: NotFound where there is none.
func readDevFile(dataDir string) (devFile, error) {
	data, err := os.ReadFile(devFilePath(dataDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return devFile{}, fault.Newf(fault.NotFound, "cli.dev", "there is no %s", devFilePath(dataDir))
	case err != nil:
		return devFile{}, fault.Newf(fault.Invalid, "cli.dev", "cannot read %s", devFilePath(dataDir)).Because(err)
	}
	var f devFile
	if err := json.Unmarshal(data, &f); err != nil {
		return devFile{}, fault.Newf(fault.Invalid, "cli.dev", "%s is damaged", devFilePath(dataDir)).Because(err)
	}
	return f, nil
}

// write keeps the file for its owner alone.
func (f devFile) write(dataDir string) error {
	data, err := json.MarshalIndent(f, "", "  ") //nolint:gosec // G117: to hand its owner the secret is what the file is for
	if err != nil {
		return fault.Wrap(fault.Internal, "cli.dev", err)
	}
	temporary := devFilePath(dataDir) + ".new"
	if err := os.WriteFile(temporary, append(data, '\n'), 0o600); err != nil {
		return fault.Newf(fault.Invalid, "cli.dev", "cannot write %s", temporary).Because(err)
	}
	if err := os.Rename(temporary, devFilePath(dataDir)); err != nil {
		return fault.Newf(fault.Invalid, "cli.dev", "cannot write %s", devFilePath(dataDir)).Because(err)
	}
	return nil
}
