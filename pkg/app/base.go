package app

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app/braces"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// The words that a file may give as base_url.
const (
	// atStart is for an app whose address is known only once the service runs.
	atStart = "at_start"
	// noBase is for an app without an HTTP API, such as a database.
	noBase = "none"
)

// Base returns the address of the app for an account: BaseURL with the fields of the credential filled in. A field that
// is a part of the URL must match ^[a-z0-9-]{1,63}$, and one that is the whole URL must be https; so no account can lead
// the credential of another kind of service away. Kind Invalid, with a message that shows no value.
func (a App) Base(credential map[string]secret.String) (*url.URL, error) {
	const op = "app.Base"
	parts, err := braces.Split(a.BaseURL)
	if err != nil || len(parts) == 0 {
		return nil, fault.Newf(fault.Invalid, op, "%s has no address to which requests could go", a.Slug)
	}
	var text strings.Builder
	for _, p := range parts {
		if !p.IsName {
			text.WriteString(p.Text)
			continue
		}
		value := a.value(credential, p.Text)
		switch {
		case value == "":
			return nil, fault.Newf(fault.Invalid, op, "the account of %s has no %s", a.Slug, p.Text)
		case len(parts) == 1:
			return a.ownBase(p.Text, value)
		case !isLabel(value):
			return nil, fault.Newf(fault.Invalid, op, "%s of the account of %s must be lower-case letters, digits and -, at most 63", p.Text, a.Slug)
		}
		text.WriteString(value)
	}
	return a.filled(text.String())
}

// ownBase reads an address that the account gives by itself.
func (a App) ownBase(field, value string) (*url.URL, error) {
	base, err := parseBase(strings.TrimSuffix(value, "/"))
	if err != nil || base.Scheme != "https" {
		return nil, fault.Newf(fault.Invalid, "app.Base", "%s of the account of %s must be https:// with a host, and without user, query or fragment", field, a.Slug)
	}
	if len(a.Within) > 0 && !slices.ContainsFunc(a.Within, func(domain string) bool { return inDomain(base, domain) }) {
		return nil, fault.Newf(fault.Invalid, "app.Base", "%s of the account of %s must be an address in %s", field, a.Slug, strict.Alternatives(a.Within))
	}
	return base, nil
}

// inDomain says whether an address is a host of a domain, at its usual port.
func inDomain(base *url.URL, domain string) bool {
	host := strings.ToLower(base.Host)
	return regexp.MustCompile(`^([a-z0-9-]{1,63}\.)+$`).MatchString(strings.TrimSuffix(host, domain)) && strings.HasSuffix(host, "."+domain)
}

// wholeField says whether an address of the file is a field of the account, and nothing else.
func wholeField(base string) bool {
	parts, err := braces.Split(base)
	return err == nil && len(parts) == 1 && parts[0].IsName
}

// filled parses the address again and holds it against the file: whatever the fields were, the end of the host is what
// the file says.
func (a App) filled(text string) (*url.URL, error) {
	base, err := parseBase(text)
	if err != nil || !strings.HasSuffix(base.Host, literalEnd(a.BaseURL)) || strings.Contains(base.Host, "..") {
		return nil, fault.Newf(fault.Invalid, "app.Base", "the fields of the account of %s make no address of it", a.Slug)
	}
	return base, nil
}

// literalEnd is what stands in an address after the last field of its host, with a port.
func literalEnd(base string) string {
	_, host, _ := strings.Cut(base, "://")
	host, _, _ = strings.Cut(host, "/")
	return host[strings.LastIndex(host, "}")+1:]
}

func isLabel(s string) bool { return regexp.MustCompile(`^[a-z0-9-]{1,63}$`).MatchString(s) }

// allows says whether a credential may be sent to this URL: to the origin of its own account's base, or to one of the
// app's hosts, by https and on the usual port.
func (a App) allows(u, base *url.URL) bool {
	switch {
	case u.User != nil:
		return false
	case u.Scheme == base.Scheme && sameHost(u, base):
		return true
	}
	return u.Scheme == "https" && port(u) == "443" && slices.Contains(a.Hosts, strings.ToLower(u.Hostname()))
}

func sameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

func readBaseURL(value strict.Value) string {
	text, ok := given(value)
	if !ok || text == atStart || text == noBase {
		return ""
	}
	text = strings.TrimSuffix(text, "/")
	parts, err := braces.Split(text)
	switch {
	case err != nil:
		value.Mistake(err.Error(), "write https://{subdomain}.example.com, where the account's credential has a field subdomain")
	case len(parts) == 1 && parts[0].IsName: // the whole address is the account's
	case isHTTPS(strings.NewReplacer("{", "", "}", "").Replace(text)) && ownsHost(text):
	case len(braces.Names(parts)) > 0:
		value.Mistake("with a field in it, the address must still be https and end in a host of the service's own", "write https://{subdomain}.example.com")
	default:
		value.Mistake("this must be an https URL without query or fragment", "write https://…")
	}
	return text
}

// ownsHost says whether the last two labels of the host are no account's to choose.
func ownsHost(base string) bool {
	_, host, _ := strings.Cut(base, "://")
	host, _, _ = strings.Cut(host, "/")
	end := literalEnd(base)
	return end == host || regexp.MustCompile(`^[a-z0-9-]*(\.[a-z0-9-]+)+\.[a-z]{2,63}(:[0-9]+)?$`).MatchString(end)
}

func isHTTPS(text string) bool {
	u, err := parseBase(text)
	return err == nil && u.Scheme == "https"
}

// parseBase reads an address to which paths can be added.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, errors.New("the URL must be http:// or https:// with a host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("the URL must have no user, query or fragment")
	}
	return u, nil
}

// baseFields are the fields of the credential that an address needs.
func baseFields(base string) []string {
	parts, err := braces.Split(base)
	if err != nil {
		return nil // told already
	}
	return braces.Names(parts)
}

func mustBeFields(value strict.Value, names []string, fields []Field) {
	for _, name := range names {
		known := slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name && f.From == FromCredential })
		if !known {
			value.Mistake(fmt.Sprintf("there is no field %s of the credential", name), "write "+name+": { from: credential } under fields, or another name here")
		}
	}
}
