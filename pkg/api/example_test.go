package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/behalf-dev/behalf/pkg/api"
)

func ExampleNew() {
	server := api.New(api.Config{}, api.Deps{})
	w := httptest.NewRecorder()
	server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/runs", http.NoBody))
	fmt.Println(w.Code, w.Body)
	// Output: 401 {"error":"send Authorization: Bearer with a token","code":"unauthenticated"}
}

func ExampleRoutes() {
	for _, route := range api.Routes() {
		fmt.Println(strings.TrimSpace(fmt.Sprintf("%-6s %-33s %s", route.Method, route.Pattern, route.Scope)))
	}
	// Output:
	// GET    /healthz
	// GET    /readyz
	// GET    /v1/openapi.json
	// POST   /v1/oauth/token
	// GET    /v1/runs/{run}/result             invoke
	// GET    /v1/runs/{run}                    manage
	// GET    /v1/runs                          manage
	// GET    /v1/runs/tail                     manage
	// POST   /v1/runs/{run}/replay             manage
	// POST   /v1/runs/{run}/cancel             manage
	// GET    /v1/deadletters                   manage
	// GET    /v1/deadletters/counts            manage
	// GET    /v1/deadletters/{letter}          manage
	// POST   /v1/deadletters/{letter}/replay   manage
	// DELETE /v1/deadletters/{letter}          manage
	// GET    /v1/events                        manage
	// GET    /v1/events/{event}                manage
	// GET    /v1/connect/accounts              connect
	// POST   /v1/connect/accounts              connect
	// GET    /v1/connect/accounts/{account}    connect
	// DELETE /v1/connect/accounts/{account}    connect
	// DELETE /v1/connect/accounts/app/{app}    connect
	// DELETE /v1/connect/apps/{app}/accounts   connect
	// GET    /v1/connect/users/{user}/accounts connect
	// GET    /v1/connect/users                 connect
	// DELETE /v1/connect/users/{user...}       connect
	// GET    /v1/connect/apps                  connect
	// GET    /v1/connect/apps/{app}            connect
	// PUT    /v1/accounts/{account}            connect
	// PATCH  /v1/users/{user}                  connect
	// POST   /v1/users/forget                  manage
	// GET    /v1/users                         connect
	// GET    /v1/users/{user...}               connect
	// GET    /v1/accounts                      connect
	// POST   /v1/accounts                      connect
	// GET    /v1/accounts/{account}            connect
	// DELETE /v1/accounts/{account}            connect
	// POST   /v1/deploy                        manage
	// GET    /v1/workflows                     manage
	// GET    /v1/workflows/{workflow}          manage
	// POST   /v1/workflows/{workflow}/promote  manage
	// POST   /v1/workflows/{workflow}/rollback manage
	// GET    /v1/env                           manage
	// PUT    /v1/env/{variable}                manage
	// DELETE /v1/env/{variable}                manage
	// GET    /v1/apps                          connect
	// GET    /v1/apps/{app}                    connect
	// GET    /v1/actions                       connect
	// GET    /v1/actions/{action}              connect
	// POST   /v1/connect/tokens                connect
	// GET    /v1/connect/tokens/{token}/validate
	// GET    /v1/connect/oauth_apps            manage
	// POST   /v1/connect/oauth_apps            manage
	// GET    /v1/connect/oauth_apps/{oauth_app} manage
	// PUT    /v1/connect/oauth_apps/{oauth_app} manage
	// DELETE /v1/connect/oauth_apps/{oauth_app} manage
	// POST   /v1/endpoints/{endpoint}/token    manage
	// GET    /v1/clients                       manage
	// POST   /v1/clients                       manage
	// GET    /v1/clients/{client}              manage
	// POST   /v1/clients/{client}/secret       manage
	// DELETE /v1/clients/{client}              manage
}
