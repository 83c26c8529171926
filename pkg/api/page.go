package api

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const (
	defaultLimit = 20
	maxLimit     = 100
)

// page is the shape of every list.
type page[T any] struct {
	Data     []T      `json:"data"`
	PageInfo pageInfo `json:"page_info"`
}

// pageInfo leads to the next page, by the same query with `after`. The cursor is null on the last: clients ask for
// more while it is not.
type pageInfo struct {
	Count     int     `json:"count"`
	EndCursor *string `json:"end_cursor"`
}

func newPage[T any](data []T, cursor string) page[T] {
	if data == nil {
		data = []T{}
	}
	p := page[T]{Data: data, PageInfo: pageInfo{Count: len(data)}}
	if cursor != "" {
		p.PageInfo.EndCursor = &cursor
	}
	return p
}

// query is the checked query string of a request: only these parameters, each once, but for category_ids, which clients
// repeat.
type query struct{ values url.Values }

func parseQuery(u *url.URL, allowed ...string) (query, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return query{}, invalid("the query string could not be read")
	}
	for name, given := range values {
		switch {
		case name == "include_credentials" && !slices.Contains(allowed, name):
			return query{}, invalid("include_credentials is for the accounts of users, under /v1/connect")
		case name == "before" && !slices.Contains(allowed, name):
			return query{}, invalid("lists are read forwards only: send after, with the end_cursor of the page before")
		case !slices.Contains(allowed, name):
			return query{}, fault.Newf(fault.Invalid, "api", "no such parameter here; there are %q", allowed)
		case len(given) > 1 && name != "category_ids":
			return query{}, invalid(name + " is given more than once")
		}
	}
	return query{values}, nil
}

func (q query) text(name string) string { return q.values.Get(name) }

func (q query) has(name string) bool { return q.values.Has(name) }

func (q query) limit() (int, error) {
	if !q.has("limit") {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(q.text("limit"))
	if err != nil || n < 1 || n > maxLimit {
		return 0, fault.Newf(fault.Invalid, "api", "limit must be 1 to %d", maxLimit)
	}
	return n, nil
}

// flag reads true, 1, false or 0; what is left out is false.
func (q query) flag(name string) (bool, error) {
	switch q.text(name) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	case "":
		if !q.has(name) {
			return false, nil
		}
	}
	return false, invalid(name + " must be true or false")
}

// user reads a user id that may be left out.
func (q query) user() (behalf.ExternalUserID, error) {
	if !q.has("user") {
		return "", nil
	}
	return behalf.ParseExternalUserID(q.text("user"))
}
