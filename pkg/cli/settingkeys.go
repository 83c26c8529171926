package cli

// settingKeys are the keys of the config file, in the order in which they are shown. Every variable that this package
// reads is here, but for secrets and what is for tests; a test holds it against the code.
func settingKeys() []settingKey {
	return []settingKey{
		{"addr", kindText, "where the role answers"},
		{"metrics_addr", kindText, "where /metrics and the health checks answer"},
		{"tls_addr", kindText, "where dev answers by https too"},
		{"tls_cert", kindText, "path of the certificate of an address that serves https"},
		{"tls_key", kindText, "path of its key"},
		{"trusted_proxies", kindList, "networks whose X-Forwarded headers are believed"},
		{"data_dir", kindText, "folder of what is kept on this machine"},
		{"log_level", kindText, "trace, debug, info, warn or error"},
		{"log_format", kindText, "json or text"},

		{"env", kindText, "the environment of a worker or a command"},
		{"environments", kindList, "the environments of ingress, api and provision"},
		{"api_url", kindURL, "public base of the API"},
		{"api_ca", kindText, "path of the certificates that an API's is checked against"},
		{"ingress_url", kindURL, "public base of the ingress"},
		{"workflow_domain", kindText, "domain below which each endpoint has a host"},
		{"project_id", kindText, "project of the commands"},
		{"client_id", kindText, "client of the commands"},

		{"nats_url", kindURL, "where NATS is"},
		{"nats_addr", kindText, "where the NATS of dev listens; none for no port"},
		{"nats_creds", kindText, "path of the credentials of NATS"},
		{"nats_creds_development", kindText, "the same, of one environment"},
		{"nats_creds_production", kindText, "the same, of one environment"},
		{"nats_ca", kindText, "path of the certificates that NATS's is checked against"},
		{"nats_cert", kindText, "path of our certificate for NATS"},
		{"nats_key", kindText, "path of its key"},
		{"storage", kindStorage, "disk that the streams reserve"},
		{"replicas", kindCount, "replicas of every stream"},
		{"max_queued", kindCount, "events of one workflow that may wait"},
		{"runs_max_msgs", kindCount, "records of live runs that are kept"},
		{"ack_wait", kindDuration, "how long a worker may hold an event without a sign of life"},

		{"rate", kindNumber, "requests a second of one project in one environment; 0 for no limit"},
		{"public_rate", kindNumber, "requests a second of one endpoint with auth: none; 0 for no limit but rate"},
		{"burst", kindNumber, "requests at once that either lets through; 0 for those of two seconds"},

		{"slots", kindCount, "runs that a worker executes at once"},
		{"node", kindText, "path of Node"},
		{"apps_dir", kindText, "folder of a team's own apps"},
		{"practice_addr", kindText, "where the practice app of dev answers"},

		{"credentials", kindText, "vault or sealed"},
		{"vault_addr", kindURL, "where Vault is"},
		{"vault_namespace", kindText, "namespace in Vault"},
		{"vault_cacert", kindText, "path of the certificates that Vault's is checked against"},
		{"vault_prefix", kindText, "beginning of the names of mounts and policies"},
		{"vault_auth", kindText, "how a role logs in"},
		{"vault_auth_mount", kindText, "where that way of logging in is mounted"},
		{"vault_role", kindText, "the role to log in as"},
		{"vault_role_id", kindText, "the id of an AppRole"},
		{"vault_token_file", kindText, "path of a file with a token"},
		{"vault_secret_id_file", kindText, "path of a file with an AppRole's secret id"},
		{"vault_wrapped_secret_id_file", kindText, "path of a file with a wrapped secret id"},
		{"vault_jwt_file", kindText, "path of a file with a JWT"},
	}
}
