"""Calls under an application: documents, the verbs that run them, hooks, live control."""
