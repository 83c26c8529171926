package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// environment is the one that the bench runs in.
const environment = "development"

// credentials is what we need of dev.json, which dev writes and provision prints.
type credentials struct {
	APIURL       string `json:"api_url"`
	ProjectID    string `json:"project_id"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// env is how a command learns of them.
func (c credentials) env() []string {
	return []string{
		"BEHALF_API_URL=" + c.APIURL, "BEHALF_PROJECT_ID=" + c.ProjectID,
		"BEHALF_CLIENT_ID=" + c.ClientID, "BEHALF_CLIENT_SECRET=" + c.ClientSecret,
	}
}

// startBehalf starts Behalf as one process, with JetStream embedded and without a NATS port, like the bare pipeline.
func startBehalf(ctx context.Context, y *yard, o options) (system, error) {
	binary, err := filepath.Abs(o.behalf.binary)
	if err != nil {
		return system{}, err
	}
	data, err := y.folder("behalf-data")
	if err != nil {
		return system{}, err
	}
	addrs, err := freeAddrs(ctx, 2)
	if err != nil {
		return system{}, err
	}
	env := []string{
		"BEHALF_ADDR=" + addrs[0], "BEHALF_METRICS_ADDR=" + addrs[1], "BEHALF_NATS_ADDR=none",
		"BEHALF_DATA_DIR=" + data, "BEHALF_NODE=" + o.node,
	}
	args := append([]string{"dev", o.behalf.workflows}, strings.Fields(o.behalf.devArgs)...)
	args = append(args, o.soak.devArgs()...)
	p, err := y.start("behalf-dev", env, binary, args...)
	if err != nil {
		return system{}, err
	}
	if err := p.serves(ctx, "http://"+addrs[0]+"/readyz"); err != nil {
		return system{}, err
	}
	b, err := os.ReadFile(filepath.Join(data, "dev.json"))
	if err != nil {
		return system{}, err
	}
	t, err := deployed(ctx, binary, o.behalf.workflows, b)
	return system{behalfName, t, []int{p.pid()}}, err
}

// deployed deploys the bench's workflow, fetches a token, and says where and what to POST. (dev has loaded the same
// folder; deploying it once more changes nothing, and tells the endpoint.)
func deployed(ctx context.Context, binary, workflows string, devJSON []byte) (target, error) {
	var c credentials
	if err := json.Unmarshal(devJSON, &c); err != nil {
		return target{}, fmt.Errorf("dev.json: %w", err)
	}
	var workflow struct {
		PathURL string `json:"path_url"`
	}
	out, err := output(ctx, c.env(), binary, "deploy", workflows, "--env", environment, "--json")
	if err != nil {
		return target{}, err
	}
	if err := json.Unmarshal(out, &workflow); err != nil || workflow.PathURL == "" {
		return target{}, fmt.Errorf("behalf deploy printed %q, want one object with path_url", out)
	}
	token, err := c.token(ctx)
	if err != nil {
		return target{}, fmt.Errorf("token: %w", err)
	}
	return target{
		url: workflow.PathURL,
		headers: []string{
			"Authorization: Bearer " + token,
			"Content-Type: application/json",
			"X-Pd-Environment: " + environment,
		},
		body: defaultBody,
	}, nil
}

func (c credentials) token(ctx context.Context) (string, error) {
	ask, err := json.Marshal(map[string]string{
		"grant_type": "client_credentials", "client_id": c.ClientID, "client_secret": c.ClientSecret,
	})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.APIURL+"/v1/oauth/token", bytes.NewReader(ask))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.AccessToken, err
}

// output runs a command to its end and returns what it printed.
func output(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
