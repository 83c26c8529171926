# An API of production takes in the credentials of accounts, of OAuth clients and of projects, and deletes them with all their
# versions. It reads and makes the key that signs our tokens. It cannot list.
# Paths: {project}/{user in base32, or _own}/{app}/{account}, {project}/_oauth/{client}, {project}/_env/{name}.

path "behalf-production/data/+/+/+/+" {
  capabilities = ["create", "read", "update"]
}

path "behalf-production/metadata/+/+/+/+" {
  capabilities = ["delete"]
}

path "behalf-production/data/+/_oauth/+" {
  capabilities = ["create", "read", "update"]
}

path "behalf-production/metadata/+/_oauth/+" {
  capabilities = ["delete"]
}

path "behalf-production/data/+/_env/+" {
  capabilities = ["create", "read", "update"]
}

path "behalf-production/metadata/+/_env/+" {
  capabilities = ["delete"]
}

path "behalf-production/data/_keys/signing" {
  capabilities = ["create", "read", "update"]
}

# Its own token, and no other.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
