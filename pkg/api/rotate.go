package api

import (
	"context"
	"net/http"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// rotateToken gives a trigger with auth: token a new token in one environment. The answer is the only place where it is
// told. The ingresses watch the endpoint: they refuse the old one within seconds.
func (a *API) rotateToken(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	id, err := behalf.ParseEndpointID(r.PathValue("endpoint"))
	if err != nil {
		return noEndpoint()
	}
	var rotated rotatedAnswer
	err = retry(func() (err error) {
		rotated, err = c.rotate(r.Context(), id)
		return err
	})
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, rotated)
	return nil
}

// rotatedAnswer says whose token is new, and shows it.
type rotatedAnswer struct {
	WorkflowID  behalf.WorkflowID  `json:"workflow_id"`
	Name        string             `json:"name"`
	Environment behalf.Environment `json:"environment"`
	EndpointID  behalf.EndpointID  `json:"endpoint_id"`
	Token       string             `json:"trigger_token"`
}

// rotate writes one new token. Errors: NotFound, also for another project's endpoint; Invalid where the trigger has no
// token; Conflict when the endpoint was written meanwhile; Unavailable.
func (c call) rotate(ctx context.Context, id behalf.EndpointID) (rotatedAnswer, error) {
	endpoint, revision, err := c.Endpoints.Endpoint(ctx, id)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && endpoint.Project != c.Project:
		return rotatedAnswer{}, noEndpoint()
	case err != nil:
		return rotatedAnswer{}, err
	case endpoint.Trigger.Auth != behalf.AuthToken:
		return rotatedAnswer{}, fault.Newf(fault.Invalid, "api.rotate",
			"the trigger of this endpoint has auth: %s, and so no token; only auth: token has one", endpoint.Trigger.Auth)
	}
	token := auth.NewTriggerToken()
	endpoint.TokenHash = auth.Hash(token)
	if _, err := c.Endpoints.PutEndpoint(ctx, endpoint, revision); err != nil {
		return rotatedAnswer{}, err
	}
	return rotatedAnswer{endpoint.Workflow, endpoint.Name, c.environment, endpoint.ID, token.Reveal()}, nil
}

func noEndpoint() error { return notFound("no such endpoint") }
