package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// accounts tells what the lists of accounts and users cost over HTTP among many, as a multiple of what they cost among few.
type accounts struct {
	many, few int
	rounds    int
	most      float64
}

func (a *accounts) flags(flags *flag.FlagSet) {
	flags.IntVar(&a.many, "accounts", 0, "instead of a bench, compare the lists of so many accounts with those of few")
	flags.IntVar(&a.few, "accounts-few", 1_000, "how many are few")
	flags.IntVar(&a.rounds, "accounts-rounds", 30, "how often each is asked for, in turn")
	flags.Float64Var(&a.most, "accounts-ratio", 3, "the ratio above which one is called too dear")
}

// asked is one thing that clients do.
type asked struct {
	name string
	// before is not measured.
	before func(context.Context, *crowd) error
	do     func(context.Context, *crowd) error
}

func (a *accounts) run(ctx context.Context, y *yard, o options) (err error) {
	var crowds []*crowd
	defer func() {
		for _, c := range crowds {
			err = errors.Join(err, c.close())
		}
	}()
	for _, n := range []int{a.few, a.many} {
		began := time.Now()
		c, err := newCrowd(ctx, y, o, n)
		if c != nil {
			crowds = append(crowds, c)
		}
		if err != nil {
			return fmt.Errorf("%d accounts: %w", n, err)
		}
		fmt.Printf("%d accounts are there, and half of them listed: %.1f s\n", n, time.Since(began).Seconds())
	}
	return a.compare(ctx, crowds[0], crowds[1])
}

func (a *accounts) compare(ctx context.Context, few, many *crowd) error {
	fmt.Printf("\n%-44s %10s %10s %8s %8s\n", "over HTTP, the best (and median) of "+fmt.Sprint(a.rounds), fmt.Sprint(few.n), fmt.Sprint(many.n), "ratio", "median")
	beyond := false
	for _, each := range everythingAsked() {
		var took [2][]time.Duration
		for range a.rounds {
			for i, c := range []*crowd{few, many} {
				d, err := each.timed(ctx, c)
				if err != nil {
					return fmt.Errorf("%s among %d: %w", each.name, c.n, err)
				}
				took[i] = append(took[i], d)
			}
		}
		best := float64(slices.Min(took[1])) / float64(slices.Min(took[0]))
		verdict := ""
		if best > a.most {
			verdict, beyond = "  FAIL", true
		}
		fmt.Printf("%-44s %7.2f ms %7.2f ms %7.2fx %7.2fx%s\n", each.name, ms(slices.Min(took[0])), ms(slices.Min(took[1])),
			best, float64(median(took[1]))/float64(median(took[0])), verdict)
	}
	if beyond {
		return errBeyond
	}
	fmt.Printf("PASS: nothing costs more than %.1f times as much\n", a.most)
	return nil
}

func (t asked) timed(ctx context.Context, c *crowd) (time.Duration, error) {
	if t.before != nil {
		if err := t.before(ctx, c); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	err := t.do(ctx, c)
	return time.Since(began), err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// everythingAsked is what must not get dearer with the number of accounts. Each asks for equally many among few and many.
func everythingAsked() []asked {
	return []asked{
		{"list accounts, the first page", nil, finds("accounts", 20, nil)},
		{"list accounts, the page in the middle", nil, func(ctx context.Context, c *crowd) error {
			return finds("accounts", 20, url.Values{"after": {c.middle}})(ctx, c)
		}},
		{"list accounts of a rare app", nil, finds("accounts", 10, url.Values{"app": {string(rare)}})},
		{"list accounts of a user", nil, func(ctx context.Context, c *crowd) error {
			return c.finds(ctx, "accounts", perUser, url.Values{"external_user_id": {c.someone()}})
		}},
		{"list accounts of a user, by its path", nil, func(ctx context.Context, c *crowd) error {
			_, err := c.ask(ctx, http.MethodGet, c.connect("users/"+c.someone()+"/accounts"), nil)
			return err
		}},
		{"show an account", nil, func(ctx context.Context, c *crowd) error {
			_, err := c.ask(ctx, http.MethodGet, c.connect("accounts/"+string(c.account(c.n/2+1).ID)), nil)
			return err
		}},
		{"delete an account", nil, func(ctx context.Context, c *crowd) error {
			c.deleted++
			_, err := c.ask(ctx, http.MethodDelete, c.connect("accounts/"+string(c.account(c.n-c.deleted).ID)), nil)
			return err
		}},
		{"delete a user with two accounts", makeSpare, func(ctx context.Context, c *crowd) error {
			_, err := c.ask(ctx, http.MethodDelete, c.connect("users/spare"), nil)
			return err
		}},
		{"delete the two accounts of an app", makeSpare, func(ctx context.Context, c *crowd) error {
			_, err := c.ask(ctx, http.MethodDelete, c.connect("accounts/app/"+string(spare)), nil)
			return err
		}},
		{"list users, the first page", nil, finds("users", 20, nil)},
		{"find a user by a part of the id", nil, searches},
	}
}

// finds asks for one page, and counts what comes.
func finds(what string, want int, query url.Values) func(context.Context, *crowd) error {
	return func(ctx context.Context, c *crowd) error { return c.finds(ctx, what, want, query) }
}

func (c *crowd) finds(ctx context.Context, what string, want int, query url.Values) error {
	q := url.Values{"limit": {fmt.Sprint(max(want, 10))}}
	maps.Copy(q, query)
	page, err := c.list(ctx, what, q)
	if err == nil && len(page.Data) != want {
		err = fmt.Errorf("%d of %v are listed, want %d", len(page.Data), query, want)
	}
	return err
}

// someone is a user in the middle.
func (c *crowd) someone() string { return string(c.account(c.n/2 + 1).User) }

// searches goes on from page to page until the one user is found.
func searches(ctx context.Context, c *crowd) error {
	part := strings.TrimPrefix(c.someone(), "user-")
	for after := ""; ; {
		page, err := c.list(ctx, "users", url.Values{"q": {part}, "after": {after}})
		if err != nil {
			return err
		}
		if after = page.Info.Cursor; len(page.Data) > 0 {
			return nil
		}
		if after == "" {
			return fmt.Errorf("nobody is found by %s", part)
		}
	}
}

// makeSpare makes two accounts, with their credentials.
func makeSpare(ctx context.Context, c *crowd) error {
	for _, name := range []string{"one", "two"} {
		_, err := c.ask(ctx, http.MethodPost, "/v1/accounts", map[string]any{
			"app": spare, "user": "spare", "name": name, "credential": map[string]string{"oauth_access_token": "t"},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
