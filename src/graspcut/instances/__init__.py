"""InstanceFCN: class-agnostic masks of hands and objects, one a thing, with scores."""
