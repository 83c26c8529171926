package behalf

import "time"

// OAuthApp is a project's own client at a service, in one environment: the name under which its users consent. Its secret
// lies in the credential store, never here.
type OAuthApp struct {
	V       int        `json:"v"`
	ID      OAuthAppID `json:"id"`
	Project ProjectID  `json:"project"`
	App     AppSlug    `json:"app"`
	Name    string     `json:"name,omitempty"`
	// ClientID is the service's public name for the client.
	ClientID string `json:"client_id"`
	// Scopes are asked for in place of those of the app's file. None means those of the file.
	Scopes    []string  `json:"scopes,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}
