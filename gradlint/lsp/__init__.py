"""The language server: diagnostics while typing, pages on hover, fixes and suppressions as code actions."""
