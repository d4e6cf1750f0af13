"""The `listen` stream: a call's audio over a WebSocket, and audio back."""
