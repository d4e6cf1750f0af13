"""Text to speech and speech to text: protocols, what is built in, and how others are attached."""
