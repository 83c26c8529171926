package api

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"github.com/goccy/go-yaml"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

//go:embed openapi.yaml
var openapiYAML []byte

// Document is the OpenAPI 3.1 document of every route, as JSON. It is written by hand, in openapi.yaml, and held against
// Routes and against what the handlers answer by the tests of this package.
func Document() (json.RawMessage, error) {
	var doc any
	if err := yaml.Unmarshal(openapiYAML, &doc); err != nil {
		return nil, fault.Wrap(fault.Internal, "api.Document", err)
	}
	text, err := json.Marshal(doc)
	return text, fault.Wrap(fault.Internal, "api.Document", err)
}

func (a *API) openapi(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	doc, err := a.document()
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, doc)
	return nil
}
