package deploy

import (
	"fmt"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// workflow reads the whole file.
func (l *loader) workflow(root strict.Value) {
	fields, ok := root.Shaped(workflowShape(), "begin with name:, triggers: and steps:")
	if !ok {
		return
	}
	l.version.Name = readName(fields.Required("name", "write name: and what the workflow does"))
	l.version.Workflow = l.workflowID(fields.Field("id"))
	l.version.Trigger = l.triggers(fields.Required("triggers", "write triggers: and below it - type: http, auth: oauth"))
	l.version.Steps = l.steps(fields.Required("steps", "write steps: and below it - name: hello, run: hello.mjs"))
	l.version.Settings = readSettings(fields.Field("settings"))
}

func readName(value strict.Value) string {
	name, ok := given(value, "write name: and what the workflow does")
	if ok && (!validName(name) || strings.TrimSpace(name) != name) {
		value.Mistake(fmt.Sprintf("name must have 1 to %d characters, without line breaks and without spaces at its ends", MaxName), "")
	}
	return name
}

// given reads a text whose absence is told elsewhere, or is no mistake.
func given(value strict.Value, hint string) (string, bool) {
	if !value.Given() {
		return "", false
	}
	return value.Text(hint)
}

func (l *loader) workflowID(value strict.Value) behalf.WorkflowID {
	text, ok := given(value, "write id: p_… of the workflow, or leave it out")
	if !ok {
		return behalf.DerivedWorkflowID(l.version.Project, l.folder)
	}
	id, err := behalf.ParseWorkflowID(text)
	if err != nil {
		value.Mistake(fault.Safe(err), "leave id out: the folder's name identifies the workflow")
	}
	return id
}

func readSettings(value strict.Value) behalf.Settings {
	settings := behalf.Settings{Timeout: behalf.DefaultTimeout}
	if !value.Given() {
		return settings
	}
	fields, _ := value.Shaped(settingsShape(), "write settings: { timeout: 30s }, or leave it out")
	if timeout := fields.Field("timeout"); timeout.Given() {
		settings.Timeout = readTimeout(timeout)
	}
	if retries := fields.Field("retries"); retries.Given() {
		if n, ok := retries.Int(0, MaxRetries); ok {
			settings.Retries = &n
		}
	}
	return settings
}

func readTimeout(value strict.Value) time.Duration {
	const hint = "write a duration with its unit, such as 30s or 2m"
	text, ok := value.Text(hint)
	if !ok {
		return 0
	}
	timeout, err := time.ParseDuration(text)
	switch {
	case err != nil:
		value.Mistake("settings.timeout is no duration", hint)
	case timeout < time.Millisecond || timeout > behalf.MaxTimeout:
		value.Mistake(fmt.Sprintf("settings.timeout must be above 0 and at most %ds", int(behalf.MaxTimeout.Seconds())), hint)
	}
	return timeout
}
