// Package configs carries the files that ship inside the binary: the catalogue of apps, the actions, the example
// workflows and the schema of workflow files.
//
// It never reads the disk and never judges what it carries: app, action and deploy load it, and a test loads every file.
package configs

import (
	"embed"
	"io/fs"
)

//go:embed apps actions examples workflow.schema.json
var files embed.FS

// Apps is the folder of the catalogue, one YAML file an app.
func Apps() fs.FS { return folder("apps") }

// Actions is the folder of the prebuilt actions, one YAML file for each major version of an action.
func Actions() fs.FS { return folder("actions") }

// Examples is the folder of the example workflows, one folder a workflow.
func Examples() fs.FS { return folder("examples") }

// WorkflowSchema is the JSON schema of workflow.yaml, for editors.
func WorkflowSchema() []byte {
	schema, err := files.ReadFile("workflow.schema.json")
	if err != nil {
		return nil // it is embedded above, or this did not compile
	}
	return schema
}

func folder(name string) fs.FS {
	sub, err := fs.Sub(files, name)
	if err != nil {
		return files // Sub refuses invalid names only
	}
	return sub
}
