"""The policy: embedding, backbone, head."""
