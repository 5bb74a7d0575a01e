"""What comes in and goes out: files of other tools, exports for training, webhooks, a client for programs."""
