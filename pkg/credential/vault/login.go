package vault

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// The ways to log in.
const (
	Token      = "token"
	AppRole    = "approle"
	Kubernetes = "kubernetes"
	JWT        = "jwt"
	Cert       = "cert"
)

// Methods lists the ways to log in.
func Methods() []string { return []string{Token, AppRole, Kubernetes, JWT, Cert} }

// serviceAccount is where Kubernetes puts the token of a pod.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Login says who we are. Files are read at each login, so that what has to be fresh may be replaced.
type Login struct {
	// Method is one of Methods.
	//
	// Defaults to token.
	Method string
	// Mount is the path of the auth method without auth/.
	//
	// Defaults to the name of the method.
	Mount string
	// Role is the role of kubernetes, jwt and cert, and the role id of approle.
	Role string
	// File has the token, the secret id of approle, or the JWT.
	//
	// Defaults for kubernetes to the token of the pod's service account.
	File string
	// Wrapped says that the file of approle has a wrapping token in which the secret id lies.
	Wrapped bool
	// Given is the token of VAULT_TOKEN, where no file is named.
	Given secret.String
}

// method is one way to log in. It leaves the client's own token alone.
type method func(ctx context.Context, client *api.Client) (*api.Secret, error)

// method checks the login. Errors: Invalid, with what to set.
func (l Login) method() (method, error) {
	l.Method = cmp.Or(l.Method, Token)
	l.Mount = strings.Trim(cmp.Or(l.Mount, l.Method), "/")
	if l.Method == Kubernetes {
		l.File = cmp.Or(l.File, serviceAccount)
	}
	switch {
	case l.Method == Token && l.File == "" && l.Given.IsZero():
		return nil, invalid("Vault needs a login: set VAULT_TOKEN, BEHALF_VAULT_TOKEN_FILE, or BEHALF_VAULT_AUTH to one of "+strings.Join(Methods()[1:], ", "), nil)
	case (l.Method == Kubernetes || l.Method == JWT) && l.Role == "":
		return nil, invalid("the login to Vault by "+l.Method+" needs BEHALF_VAULT_ROLE", nil)
	case l.Method == JWT && l.File == "":
		return nil, invalid("the login to Vault by jwt needs BEHALF_VAULT_JWT_FILE", nil)
	case l.Method == AppRole && (l.Role == "" || l.File == ""):
		return nil, invalid("the login to Vault by approle needs BEHALF_VAULT_ROLE_ID and BEHALF_VAULT_SECRET_ID_FILE", nil)
	}
	switch l.Method {
	case Token:
		return l.byToken, nil
	case AppRole:
		return (&appRole{Login: l}).login, nil
	case Kubernetes, JWT:
		return l.byJWT, nil
	case Cert:
		return l.byCert, nil
	}
	return nil, invalid("BEHALF_VAULT_AUTH must be one of "+strings.Join(Methods(), ", "), nil)
}

// byToken takes the token as it is, and asks how long it lives.
func (l Login) byToken(ctx context.Context, client *api.Client) (*api.Secret, error) {
	token := l.Given
	if l.File != "" {
		var err error
		if token, err = l.read(); err != nil {
			return nil, err
		}
	}
	client.SetToken(token.Reveal())
	found, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, err
	}
	ttl, err := found.TokenTTL()
	if err != nil {
		return nil, errNoVault
	}
	renewable, err := found.TokenIsRenewable()
	if err != nil {
		return nil, errNoVault
	}
	return &api.Secret{Auth: &api.SecretAuth{ClientToken: token.Reveal(), LeaseDuration: int(ttl.Seconds()), Renewable: renewable}}, nil
}

func (l Login) byJWT(ctx context.Context, client *api.Client) (*api.Secret, error) {
	token, err := l.read()
	if err != nil {
		return nil, err
	}
	return l.write(ctx, client, map[string]any{"role": l.Role, "jwt": token.Reveal()})
}

func (l Login) byCert(ctx context.Context, client *api.Client) (*api.Secret, error) {
	return l.write(ctx, client, map[string]any{"name": l.Role})
}

func (l Login) write(ctx context.Context, client *api.Client, fields map[string]any) (*api.Secret, error) {
	got, err := client.Logical().WriteWithContext(ctx, "auth/"+l.Mount+"/login", fields)
	if err == nil && (got == nil || got.Auth == nil || got.Auth.ClientToken == "") {
		err = errNoVault
	}
	return got, err
}

// errFile is a file of the operator's that cannot be used.
var errFile = errors.New("the file of the login to Vault cannot be read, or is empty")

func (l Login) read() (secret.String, error) {
	data, err := os.ReadFile(l.File)
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" {
		return secret.String{}, errFile // what the system says would name the file to whoever reads /readyz
	}
	return secret.New(text), nil
}

// appRole is a login whose secret id may come wrapped: it is unwrapped once, and kept in memory for the logins to come.
type appRole struct {
	Login

	wrapping secret.String // that brought the secret id
	secretID secret.String
}

// errUnwrapped is an alarm: a wrapping token opens once.
var errUnwrapped = errors.New("the wrapped secret id is used up, expired or not of this role: somebody else may have opened it")

func (a *appRole) login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	given, err := a.read()
	if err != nil && a.secretID.IsZero() { // the file may be gone once it has been unwrapped
		return nil, err
	}
	switch {
	case !a.Wrapped:
		a.secretID = given
	case err == nil && !given.Equal(a.wrapping):
		if a.secretID, err = a.unwrap(ctx, client, given); err != nil {
			return nil, err
		}
		a.wrapping = given
	}
	if a.secretID.IsZero() {
		return nil, errFile
	}
	return a.write(ctx, client, map[string]any{"role_id": a.Role, "secret_id": a.secretID.Reveal()})
}

// unwrap opens a wrapping token, but only one that a secret id of our mount was wrapped in: anybody can wrap anything.
func (a *appRole) unwrap(ctx context.Context, client *api.Client, wrapping secret.String) (secret.String, error) {
	wrapped, err := client.Logical().WriteWithContext(ctx, "sys/wrapping/lookup", map[string]any{"token": wrapping.Reveal()})
	if err != nil {
		return secret.String{}, unwrapped(err)
	}
	path := ""
	if wrapped != nil {
		path, _ = wrapped.Data["creation_path"].(string)
	}
	if !strings.HasPrefix(path, "auth/"+a.Mount+"/role/") || !strings.HasSuffix(path, "/secret-id") {
		return secret.String{}, errUnwrapped
	}
	opened, err := client.Logical().UnwrapWithContext(ctx, wrapping.Reveal())
	client.ClearToken() // to unwrap has set it
	if err != nil {
		return secret.String{}, unwrapped(err)
	}
	id := ""
	if opened != nil {
		id, _ = opened.Data["secret_id"].(string)
	}
	if id == "" {
		return secret.String{}, errUnwrapped
	}
	return secret.New(id), nil
}

// unwrapped tells a token that Vault refuses from a Vault that is away.
func unwrapped(err error) error {
	var answered *api.ResponseError
	if errors.As(err, &answered) && answered.StatusCode < http.StatusInternalServerError && answered.StatusCode != http.StatusTooManyRequests {
		return errUnwrapped
	}
	return err
}

// refusal is what Ready says of a login that did not work.
func refusal(err error) string {
	var answered *api.ResponseError
	switch {
	case errors.Is(err, errFile), errors.Is(err, errUnwrapped):
		return err.Error()
	case errors.As(err, &answered) && slices.Contains([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound}, answered.StatusCode):
		return "Vault refuses our login"
	case fault.Is(err, fault.Canceled):
		return whyAway
	}
	return reasonOf(err)
}
