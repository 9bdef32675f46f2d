"""emofuse as a tool of language-model agents: a JSON schema, a call, an MCP server."""
