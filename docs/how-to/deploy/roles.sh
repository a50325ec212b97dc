#!/bin/sh
# Run once by the PostgreSQL image, when its volume is empty: the schema's owner, and the user that the service works as.
# Neither is a superuser, and neither may pass by row-level security.
set -eu
psql --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres <<'SQL'
\set owner_password `cat /run/secrets/owner_password`
\set service_password `cat /run/secrets/service_password`
CREATE ROLE seatbridge_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE seatbridge LOGIN PASSWORD :'service_password';
CREATE DATABASE seatbridge OWNER seatbridge_owner;
SQL
