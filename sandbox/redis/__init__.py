"""Real Redis servers, and what stands in front of them where an endpoint must speak TLS or move."""
