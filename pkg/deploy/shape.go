package deploy

import "github.com/behalf-dev/behalf/pkg/deploy/strict"

// The shapes of workflow.yaml. configs/workflow.schema.json says the same to editors, and a test holds one against the
// other.

func workflowShape() strict.Shape {
	const blocks = "leave it out: blocks come in a later release; a code step can decide and loop by itself"
	return strict.Shape{
		Known: []string{"name", "id", "triggers", "steps", "settings"},
		Planned: map[string]string{
			"limits":   "leave it out: limits come in a later release",
			"schedule": "leave it out: schedules come in a later release; until then call the URL from a scheduler of yours",
			"schema":   "leave it out: this file has one format; files of Pipedream's GitHub Sync are converted in a later release",
			"if":       blocks,
			"parallel": blocks,
		},
	}
}

func triggerShape() strict.Shape {
	return strict.Shape{
		Known: []string{"type", "auth", "respond", "raw_body", "public_users", "public_development"},
		Planned: map[string]string{
			"schedule": "leave it out: schedules come in a later release; until then call the URL from a scheduler of yours",
			"cron":     "leave it out: schedules come in a later release; until then call the URL from a scheduler of yours",
		},
	}
}

func respondShape() strict.Shape {
	return strict.Shape{Known: []string{"status", "headers", "body"}}
}

func stepShape() strict.Shape {
	const (
		blocks = "leave it out: blocks come in a later release; a code step can decide and loop by itself"
		waits  = "leave it out: waits and approvals come in a later release"
		tuning = "leave it out: it comes in a later release"
	)
	return strict.Shape{
		Known: []string{"name", "uses", "run", "account", "accounts", "env", "props"},
		Planned: map[string]string{
			"if": blocks, "switch": blocks, "parallel": blocks, "for_each": blocks,
			"delay": waits, "approval": waits,
			"isolation": tuning, "concurrent": tuning, "limits": tuning,
			"timeout": "write it under settings: it holds for the whole run", "retries": "write it under settings: it holds for every step",
		},
	}
}

func settingsShape() strict.Shape {
	return strict.Shape{
		Known: []string{"timeout", "retries"},
		Planned: map[string]string{
			"limits":      "leave it out: limits come in a later release",
			"concurrency": "leave it out: limits come in a later release",
			"isolation":   "leave it out: it comes in a later release",
		},
	}
}
