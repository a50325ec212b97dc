#!/bin/sh
# Make the secrets that compose.yaml reads, in ./secrets beside this file. What is there already is left as it is.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
# Containers read them as a user of their own, which is not this one: the folder keeps everybody else out.
chmod 0700 secrets

random() { openssl rand -hex 32; }
make() { [ -s "secrets/$1" ] || { printf '%s\n' "$2" > "secrets/$1" && chmod 0644 "secrets/$1"; }; }

make postgres_password "$(random)"
make owner_password "$(random)"
make service_password "$(random)"
make metrics_token "$(random)"
make keys "$(random)"
make owner_url "postgresql://seatbridge_owner:$(cat secrets/owner_password)@database:5432/seatbridge"
make database_url "postgresql://seatbridge:$(cat secrets/service_password)@database:5432/seatbridge"
echo "secrets/: $(ls secrets | tr '\n' ' ')"
echo "Keep secrets/keys apart from the back-up of the database: without it the back-up can't be read in full."
