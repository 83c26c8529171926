package ingress_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// A caller names one of its users, and reads what the workflow itself answers.
func Example() {
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	w.bus.answer = func(e behalf.Event) *behalf.Result {
		return &behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: fmt.Sprintf(`{"hello":%q}`, e.User)}}
	}
	server := httptest.NewServer(w.server()) // a *ingress.Server is an http.Handler
	defer server.Close()

	req, err := http.NewRequest(http.MethodPost, server.URL+"/e/"+endpointID, strings.NewReader(`{"text":"hi"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+goodToken)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-PD-External-User-ID", "abc-123")
	req.Header.Set("X-PD-Environment", "production")
	res, err := server.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	fmt.Println(res.Status, string(body), err)
	// Output: 200 OK {"hello":"abc-123"} <nil>
}
