package action

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// respond is an answer to the caller of the workflow, in the place of a request.
type respond struct {
	status, headers, body *template
}

func (r *respond) outcome(s scope) (behalf.Outcome, error) {
	status, err := r.statusOf(s)
	if err != nil {
		return behalf.Outcome{}, err
	}
	headers, err := r.headersOf(s)
	if err != nil {
		return behalf.Outcome{}, err
	}
	var body []byte
	if value, ok := r.body.render(s); ok {
		var kind string
		if body, kind, err = packed(value, ""); err != nil {
			return behalf.Outcome{}, err
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(headers)), func(name string) bool { return strings.EqualFold(name, "content-type") }) {
			headers["content-type"] = kind
		}
	}
	if len(body) > maxExports {
		return behalf.Outcome{}, failf(InvalidProps, "the body is larger than %d MiB", maxExports>>20)
	}
	response := behalf.NewResponse(status, headers, body)
	return behalf.Outcome{Response: &response, Exports: []byte(`{"$summary":"Answered with status ` + strconv.Itoa(status) + `"}`)}, nil
}

func (r *respond) statusOf(s scope) (int, error) {
	value, _ := r.status.render(s)
	n, _ := value.(json.Number)
	status, err := strconv.Atoi(n.String())
	if err != nil || status < 200 || status > 599 {
		return 0, failf(InvalidProps, "status must be 200 to 599")
	}
	return status, nil
}

func (r *respond) headersOf(s scope) (map[string]string, error) {
	members, err := membersOf("headers", r.headers, s)
	if err != nil {
		return nil, err
	}
	headers := make(map[string]string, len(members)+1)
	for name, value := range members {
		text, ok := headerText(value)
		switch {
		case value == nil:
		case !ok || !isToken(name):
			return nil, failf(InvalidProps, "headers: %.80q is not a header with a value of one line", name)
		default:
			headers[name] = text
		}
	}
	return headers, nil
}
