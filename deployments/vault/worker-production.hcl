# A worker of production reads the credentials of its environment, and writes back those that it has refreshed. It cannot
# list, make or delete any, and the key that signs our tokens is not for it.
# Paths: {project}/{user in base32, or _own}/{app}/{account}, {project}/_oauth/{client}, {project}/_env/{name}.

path "behalf-production/data/+/+/+/+" {
  capabilities = ["read", "update"]
}

path "behalf-production/data/+/_oauth/+" {
  capabilities = ["read"]
}

path "behalf-production/data/+/_env/+" {
  capabilities = ["read"]
}

# Its own token, and no other.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
