"""Pure rules about members, roles and waiting lists."""
