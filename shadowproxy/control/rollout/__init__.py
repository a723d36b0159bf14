"""What drives rollouts: facts are gathered, `rollout` decides, and what it decided is kept, published and told."""
