package behalf

import "time"

// Project is one team's workflows, users and clients.
type Project struct {
	V         int       `json:"v"`
	ID        ProjectID `json:"id"`
	Name      string    `json:"name,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}
